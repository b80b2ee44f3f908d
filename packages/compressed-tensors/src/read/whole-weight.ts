import type { CodedWeight } from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  CalibrantError,
  type Checkpoint,
  elementCount,
  type MinifloatScheme,
  type MinifloatTensor,
  minifloatScaleShape,
  rows,
  type Tensor,
  tensor,
  toF32,
} from '@calibrant/core';

/**
 * Opens a weight whose codes are stored one by one: i8 of `int-quantized`, E4M3 of `float-quantized`, either of `naive-quantized`.
 *
 * @throws CalibrantError `CORRUPT_FILE` when its parts are missing or do not fit each other.
 */
export function openWholeWeight(checkpoint: Checkpoint, module: string, scheme: AffineScheme | MinifloatScheme): CodedWeight {
  const [weight, scale, zero] = ['weight', 'weight_scale', 'weight_zero_point'].map((part) => checkpoint.tensors.get(`${module}.${part}`));
  const corrupt = (what: string): CalibrantError =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is not a quantized layer of compressed-tensors: ${what}.`, {
      tensor: `${module}.weight`,
      ...(weight ? { file: weight.file } : {}),
    });
  const dtype = scheme.kind === 'affine' ? 'i8' : 'f8_e4m3';
  if (!weight || !scale) throw corrupt('weight and weight_scale must be there');
  const { shape } = weight;
  if (weight.dtype !== dtype || shape.length !== 2)
    throw corrupt(`the config asks for a ${dtype} matrix, found ${weight.dtype} [${shape.join(', ')}]`);
  const grid = gridShape(scheme, shape);
  for (const part of [scale, zero])
    if (part && elementCount(part.shape) !== elementCount(grid))
      throw corrupt(
        `${part.name.slice(module.length + 1)} must hold ${elementCount(grid)} values [${grid.join(', ')}], found [${part.shape.join(', ')}]`,
      );
  if (scheme.kind === 'affine' && !scheme.symmetric && !zero) throw corrupt('weight_zero_point is missing although the grid is asymmetric');
  const readScales = async () => tensor('f32', grid, toF32(await checkpoint.read(scale.name)));
  const parts = [weight, scale, ...(zero ? [zero] : [])];

  return {
    info: {
      name: weight.name,
      dtype: 'f32',
      shape,
      storage: scheme.kind === 'affine' ? 'int-quantized int8' : 'float-quantized fp8',
      coded: { scheme, scaleDtype: scale.dtype },
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      file: weight.file,
    },
    async readCoded(start, end): Promise<AffineTensor | MinifloatTensor> {
      const { data } = await checkpoint.read(weight.name, { start, end });
      const scales = await readScales();
      const size = [end - start, shape[1]];
      const codes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (scheme.kind === 'minifloat') return { kind: 'minifloat', scheme, shape: size, codes, scales, firstRow: start };
      const ofRows = (whole: Tensor) => (whole.shape[0] === shape[0] ? rows(whole, start, end) : whole);
      const middle = 2 ** (scheme.bits - 1);
      const stored = zero && !scheme.symmetric ? (await checkpoint.read(zero.name)).data : undefined;
      const zeroPoints = tensor(
        'u8',
        grid,
        Uint8Array.from({ length: elementCount(grid) }, (_, i) => Number(stored?.[i] ?? 0) + middle),
      );
      return {
        kind: 'affine',
        scheme,
        shape: size,
        codes: unsigned(codes, middle),
        scales: ofRows(scales),
        zeroPoints: ofRows(zeroPoints),
      };
    },
  };
}

function gridShape(scheme: AffineScheme | MinifloatScheme, shape: readonly number[]): [number, number] {
  if (scheme.kind === 'minifloat') return minifloatScaleShape(scheme, shape);
  const { granularity, groupSize } = scheme;
  if (granularity === 'tensor') return [1, 1];
  return [shape[0], granularity === 'group' && groupSize ? Math.ceil(shape[1] / groupSize) : 1];
}

/** Signed codes plus `2^(bits − 1)`; for 8 bits that turns the top bits over, four codes at a time. */
function unsigned(codes: Uint8Array, middle: number): Uint8Array {
  if (middle !== 128) return codes.map((code) => (code + middle) & 255);
  const result = new Uint8Array(Math.ceil(codes.length / 4) * 4);
  result.set(codes);
  const words = new Uint32Array(result.buffer);
  for (let i = 0; i < words.length; i++) words[i] ^= 0x80808080;
  return result.subarray(0, codes.length);
}
