import {
  type AffineScheme,
  CalibrantError,
  type Checkpoint,
  groupsPerRow,
  schemeGroupSize,
  type Tensor,
  type TensorInfo,
  tensor,
  toF32,
} from '@calibrant/core';
import { unpackColumns, unpackRow, wordsFor } from '../bits.js';

/** A packed weight that can be read as f32. */
export interface PackedWeight {
  readonly info: TensorInfo;
  /** Values of the rows `[start, end)`, `scale · (code − zeroPoint)` in f32 with the stored scales. */
  read(start: number, end: number): Promise<Tensor>;
}

/**
 * Opens the weight of one module.
 *
 * @throws CalibrantError `CORRUPT_FILE` when its parts are missing or do not fit each other.
 */
export async function openPackedWeight(checkpoint: Checkpoint, module: string, scheme: AffineScheme): Promise<PackedWeight> {
  const { bits, granularity, symmetric } = scheme;
  const part = (suffix: string): TensorInfo | undefined => checkpoint.tensors.get(`${module}.${suffix}`);
  const corrupt = (what: string): CalibrantError =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is not a pack-quantized int${bits} layer: ${what}.`, {
      tensor: `${module}.weight_packed`,
    });
  const packed = part('weight_packed');
  const scale = part('weight_scale');
  const zero = part('weight_zero_point');
  const order = part('weight_g_idx');
  if (!packed || !scale || !part('weight_shape')) throw corrupt('weight_packed, weight_scale and weight_shape must all be there');
  if (!symmetric && !zero) throw corrupt('weight_zero_point is missing although the grid is asymmetric');

  const [out, columns] = Array.from((await checkpoint.read(`${module}.weight_shape`)).data, Number);
  const padded = Math.floor(32 / bits);
  const dense = packed.shape[1] === wordsFor(columns, bits);
  if (packed.dtype !== 'i32' || packed.shape.length !== 2 || packed.shape[0] !== out)
    throw corrupt(`weight_packed must be i32 with ${out} rows, found ${packed.dtype} [${packed.shape.join(', ')}]`);
  if (!dense && packed.shape[1] !== Math.ceil(columns / padded))
    throw corrupt(`${columns} codes take ${wordsFor(columns, bits)} words a row, found ${packed.shape[1]}`);
  const perWord = dense ? undefined : padded;
  const groupSize = schemeGroupSize(scheme, columns);
  const groups = granularity === 'group' ? groupsPerRow(columns, groupSize) : 1;
  const scales = scale.shape.reduce((product, size) => product * size, 1);
  if (scales !== (granularity === 'tensor' ? 1 : out * groups))
    throw corrupt(`weight_scale must hold ${granularity === 'tensor' ? 1 : out * groups} values, found [${scale.shape.join(', ')}]`);

  const all = async (suffix: string): Promise<Tensor> => checkpoint.read(`${module}.${suffix}`);
  async function zeroPoints(): Promise<Uint8Array | undefined> {
    if (symmetric || !zero) return undefined;
    const { data, dtype } = await all('weight_zero_point');
    if (dtype === 'i32' && granularity !== 'tensor') return unpackColumns(data as Int32Array, groups, bits, out, perWord);
    return Uint8Array.from(data as Int8Array, (value) => Number(value) + 2 ** (bits - 1));
  }

  const parts = [packed, scale, ...(zero ? [zero] : []), ...(order ? [order] : [])];
  return {
    info: {
      name: `${module}.weight`,
      dtype: 'f32',
      shape: [out, columns],
      storage: `pack-quantized int${bits}`,
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      file: packed.file,
    },
    async read(start, end) {
      const words = await checkpoint.read(packed.name, { start, end });
      const wholeScale = granularity === 'tensor' || scale.shape.length < 2;
      const scaleValues = toF32(await checkpoint.read(scale.name, wholeScale ? undefined : { start, end }));
      const scaleBase = wholeScale ? start : 0;
      const zeros = await zeroPoints();
      const index = order ? ((await all('weight_g_idx')).data as Int32Array) : undefined;
      if (index?.some((group) => group < 0 || group >= groups)) throw corrupt(`weight_g_idx names a group beyond ${groups - 1}`);
      const groupOf = index ?? Int32Array.from({ length: columns }, (_, c) => (granularity === 'group' ? Math.floor(c / groupSize) : 0));
      const bytes = new Uint8Array(words.data.buffer, words.data.byteOffset, words.data.byteLength);
      const width = packed.shape[1] * 4;
      const values = new Float32Array((end - start) * columns);
      for (let r = 0; r < end - start; r++) {
        const codes = unpackRow(bytes.subarray(r * width, (r + 1) * width), bits, columns, perWord);
        const scaleRow = granularity === 'tensor' ? 0 : (r + scaleBase) * groups;
        const zeroRow = granularity === 'tensor' ? 0 : (r + start) * groups;
        for (let c = 0; c < columns; c++) {
          const zeroPoint = zeros ? zeros[zeroRow + groupOf[c]] : 2 ** (bits - 1);
          values[r * columns + c] = scaleValues[scaleRow + groupOf[c]] * (codes[c] - zeroPoint);
        }
      }
      return tensor('f32', [end - start, columns], values);
    },
  };
}
