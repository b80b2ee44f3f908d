import { fitScheme, roundToGrid } from './affine-layer.js';
import { type Backend, type BufferHandle, withBuffers } from './backend.js';
import { decodeMinifloat, encodeMinifloat } from './minifloat.js';
import { dequantizeAffine, schemeGroupSize } from './ops/affine.js';
import { convert } from './ops/convert.js';
import { fakeQuantizeAffine, scaleMatrix } from './ops/scaling.js';
import type { AffineScheme, TensorScheme } from './scheme.js';
import { tensor } from './tensor.js';
import type { BoundCalibrator } from './value-range.js';

export interface FakeQuantizeOptions {
  /** Per input channel: rounds `w · factors` and divides by them. */
  readonly factors?: Float32Array | undefined;
  /** Chooses the ranges of integer grids; the whole range if absent. */
  readonly calibrator?: BoundCalibrator | undefined;
}

/**
 * What a weight f32 `[out, in]` becomes when it is rounded to nearest on its grid: `Q(w)`, or with factors per input channel `Q(w · factors) / factors`. Works for
 * integer grids, 8-bit floats, block types (by their encoder and decoder) and float types. The result is the caller's.
 */
export async function fakeQuantizeWeight(
  backend: Backend,
  weight: BufferHandle,
  scheme: TensorScheme,
  { factors, calibrator }: FakeQuantizeOptions = {},
): Promise<BufferHandle> {
  return withBuffers(backend, async (track) => {
    const upload = async (values: Float32Array) => track(await backend.upload(tensor('f32', [values.length], values)));
    const columnFactors = factors ? await upload(factors) : undefined;
    if (scheme.kind === 'affine' && scheme.granularity !== 'tensor' && !calibrator) {
      const { bits, symmetric } = scheme;
      const groupSize = Math.max(1, schemeGroupSize(scheme, weight.shape[1]));
      return backend.run(fakeQuantizeAffine, { w: weight, factors: columnFactors }, { bits, symmetric, groupSize }).y;
    }
    const scaled = columnFactors ? track(backend.run(scaleMatrix, { w: weight, columnFactors }, {}).y) : weight;
    const rounded = await roundAlone(backend, scaled, scheme, calibrator);
    if (!factors) return rounded;
    const inverse = await upload(factors.map((factor) => 1 / factor));
    return backend.run(scaleMatrix, { w: track(rounded), columnFactors: inverse }, {}).y;
  });
}

async function roundAlone(
  backend: Backend,
  w: BufferHandle,
  scheme: TensorScheme,
  calibrator: BoundCalibrator | undefined,
): Promise<BufferHandle> {
  if (scheme.kind === 'affine') return roundFitted(backend, w, scheme, calibrator);
  if (scheme.kind === 'minifloat') return decodeMinifloat(backend, await encodeMinifloat(backend, w, scheme));
  return withBuffers(backend, async (track) => {
    if (scheme.kind === 'float') {
      const stored = track(backend.run(convert, { x: w }, { to: scheme.dtype }).y);
      return backend.run(convert, { x: stored }, { to: 'f32' }).y;
    }
    const blocks = track(backend.run(scheme.encode, { x: w }, {}).blocks);
    return backend.run(scheme.decode, { blocks }, {}).x;
  });
}

async function roundFitted(
  backend: Backend,
  w: BufferHandle,
  scheme: AffineScheme,
  calibrator: BoundCalibrator | undefined,
): Promise<BufferHandle> {
  const grid = await fitScheme(backend, w, scheme, calibrator);
  const codes = roundToGrid(backend, w, grid, scheme);
  const { w: y } = backend.run(dequantizeAffine, { codes, ...grid }, { groupSize: Math.max(1, schemeGroupSize(scheme, w.shape[1])) });
  backend.free(codes, grid.scales, grid.zeroPoints);
  return y;
}
