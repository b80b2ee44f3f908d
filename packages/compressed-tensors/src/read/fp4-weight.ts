import type { CodedWeight } from '@calibrant/checkpoint';
import { CalibrantError, type Checkpoint, type DType, E2M1, encodeOne, type MinifloatTensor, tensor, toF32 } from '@calibrant/core';
import type { Fp4Scheme } from './config-groups.js';

/** The two E4M3 patterns of a byte's two E2M1 patterns, the lower nibble first: every 4-bit float is one of 8 bits, so that reading is exact. */
const WIDENED = Uint16Array.from({ length: 256 }, (_, byte) => {
  const [first, second] = [byte & 15, byte >> 4].map((code) => encodeOne('f8_e4m3', E2M1.values[code]));
  return first | (second << 8);
});

/** The power of two of an E8M0 pattern, which is its exponent with a bias of 127 (OCP Microscaling Formats 1.0, section 5.4.1). */
const E8M0_BIAS = 127;

/**
 * Opens a weight of `nvfp4-pack-quantized` (`weight_packed` u8 `[out, in / 2]`, `weight_scale` E4M3 `[out, in / 16]`, `weight_global_scale`, which divides the
 * scales) or `mxfp4-pack-quantized` (`weight_scale` E8M0 as u8 `[out, in / 32]`).
 *
 * @throws CalibrantError `CORRUPT_FILE` when its parts are missing or do not fit each other.
 */
export function openFp4Weight(checkpoint: Checkpoint, module: string, { name, groupSize }: Fp4Scheme): CodedWeight {
  const [packed, scale, global] = ['weight_packed', 'weight_scale', 'weight_global_scale'].map((part) =>
    checkpoint.tensors.get(`${module}.${part}`),
  );
  const corrupt = (what: string): CalibrantError =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${module} is no ${name}-pack-quantized layer: ${what}.`, {
      tensor: `${module}.weight_packed`,
      ...(packed ? { file: packed.file } : {}),
    });
  const nv = name === 'nvfp4';
  if (!packed || !scale || (nv && !global))
    throw corrupt(`weight_packed, weight_scale${nv ? ' and weight_global_scale' : ''} must be there`);
  if (packed.dtype !== 'u8' || packed.shape.length !== 2)
    throw corrupt(`weight_packed must be a matrix of u8, found ${packed.dtype} [${packed.shape.join(', ')}]`);
  const [out, columns] = [packed.shape[0], 2 * packed.shape[1]];
  const scaleDtype: DType = nv ? 'f8_e4m3' : 'u8';
  if (scale.dtype !== scaleDtype || columns % groupSize !== 0 || scale.shape.join() !== `${out},${columns / groupSize}`)
    throw corrupt(
      `weight_scale must be ${scaleDtype} [${out}, ${columns / groupSize}] for ${columns} inputs in groups of ${groupSize}, found ${scale.dtype} [${scale.shape.join(', ')}]`,
    );
  const scheme = { kind: 'minifloat', dtype: 'f8_e4m3', granularity: 'block', blockShape: [1, groupSize] } as const;
  const parts = [packed, scale, ...(global ? [global] : [])];

  async function scalesOf(start: number, end: number): Promise<Float32Array> {
    const stored = await checkpoint.read(scale!.name, { start, end });
    if (!global) return Float32Array.from(stored.data as Uint8Array, (exponent) => 2 ** (exponent - E8M0_BIAS));
    const divisor = toF32(await checkpoint.read(global.name))[0];
    if (!(divisor > 0 && divisor < Number.POSITIVE_INFINITY)) throw corrupt(`weight_global_scale is ${divisor}`);
    return toF32(stored).map((value) => value / divisor);
  }

  return {
    info: {
      name: `${module}.weight`,
      dtype: 'f32',
      shape: [out, columns],
      storage: `${name}-pack-quantized`,
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      file: packed.file,
    },
    async readCoded(start, end): Promise<MinifloatTensor> {
      const bytes = (await checkpoint.read(packed.name, { start, end })).data as Uint8Array;
      const pairs = Uint16Array.from(bytes, (byte) => WIDENED[byte]);
      const scales = tensor('f32', [end - start, columns / groupSize], await scalesOf(start, end));
      return { kind: 'minifloat', scheme, shape: [end - start, columns], codes: new Uint8Array(pairs.buffer), scales };
    },
  };
}
