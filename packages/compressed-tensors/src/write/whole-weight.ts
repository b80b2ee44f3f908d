import { linearModule, type NamedTensorSpec, type StoredWeight, storedScales } from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  type DType,
  type MinifloatScheme,
  type MinifloatTensor,
  minifloatScaleShape,
  type PlannedTensor,
  tensor,
} from '@calibrant/core';
import { scaleDtype } from './packed-weight.js';
import type { WeightInput } from './weight-input.js';

/** `int-quantized`: `weight` i8 `[out, in]`, `weight_scale` `[out, 1]` or `[1]`, and `weight_zero_point` i8 of that shape for asymmetric grids. */
export function integerWeight(planned: PlannedTensor, input: WeightInput): StoredWeight {
  const scheme = planned.scheme as AffineScheme;
  const module = linearModule(planned, input.facts, 'compressed-tensors');
  const whole = scheme.granularity === 'tensor';
  const scaleShape = whole ? [1] : [planned.shape[0], 1];
  const weight: NamedTensorSpec = { name: `${module}.weight`, dtype: 'i8', shape: planned.shape };
  const scale: NamedTensorSpec = { name: `${module}.weight_scale`, dtype: scaleDtype(planned, input), shape: scaleShape };
  const zero: NamedTensorSpec = { name: `${module}.weight_zero_point`, dtype: 'i8', shape: scaleShape };
  return {
    parts: [weight, scale, ...(scheme.symmetric ? [] : [zero])],
    async write(rowStart, value, to) {
      const { codes, scales, zeroPoints, shape } = value as AffineTensor;
      await to.write(weight.name, tensor('i8', shape, signed(codes)), rowStart);
      if (whole && rowStart > 0) return;
      const stored = storedScales(scales, scale.dtype, planned.name);
      const gridShape = whole ? [1] : [shape[0], 1];
      await to.write(scale.name, { ...stored, shape: gridShape }, rowStart);
      if (!scheme.symmetric) await to.write(zero.name, tensor('i8', gridShape, signed(zeroPoints.data as Uint8Array)), rowStart);
    },
  };
}

/** Unsigned codes minus 128, four at a time: their top bits are turned over. */
function signed(codes: Uint8Array): Int8Array {
  const result = new Int8Array(Math.ceil(codes.length / 4) * 4);
  result.set(codes);
  const words = new Uint32Array(result.buffer);
  for (let i = 0; i < words.length; i++) words[i] ^= 0x80808080;
  return result.subarray(0, codes.length);
}

/** `float-quantized` (and `naive-quantized`): `weight` E4M3 `[out, in]`, `weight_scale` `[1]`, `[out, 1]` or one for each block. */
export function floatWeight(planned: PlannedTensor, { facts, options }: WeightInput): StoredWeight {
  const scheme = planned.scheme as MinifloatScheme;
  const module = linearModule(planned, facts, 'compressed-tensors');
  // Scales of 8-bit floats are few and readers hold them in f32: rounding them would cost accuracy for nothing.
  const dtype: DType = options.scaleDtype === 'auto' ? 'f32' : options.scaleDtype;
  const shape = scheme.granularity === 'tensor' ? [1] : minifloatScaleShape(scheme, planned.shape);
  const weight: NamedTensorSpec = { name: `${module}.weight`, dtype: 'f8_e4m3', shape: planned.shape };
  const scale: NamedTensorSpec = { name: `${module}.weight_scale`, dtype, shape };
  return {
    parts: [weight, scale],
    async write(rowStart, value, to) {
      const { codes, scales, shape: rows } = value as MinifloatTensor;
      await to.write(weight.name, tensor('f8_e4m3', rows, codes), rowStart);
      if (rowStart === 0 || scheme.granularity === 'channel')
        await to.write(scale.name, { ...storedScales(scales, dtype, planned.name), ...(shape.length === 1 ? { shape } : {}) }, rowStart);
    },
  };
}
