import { add, type Backend, type BufferHandle, dequantizeAffine, withBuffers } from '@calibrant/core';
import { quadraticForm } from './quadratic-form.js';

export interface CodedBuffers {
  readonly codes: BufferHandle;
  readonly scales: BufferHandle;
  readonly zeroPoints: BufferHandle;
  /** `[in]` i32, where groups are not contiguous. */
  readonly groupIndex?: BufferHandle | undefined;
}

/**
 * `δ·H·δᵀ` of each output row, δ = w − dequantized: with `H = 2/n · XᵀX` twice the mean squared error of that output over the n tokens.
 */
export function rowErrors(
  backend: Backend,
  weight: BufferHandle,
  hessian: BufferHandle,
  { codes, scales, zeroPoints, groupIndex }: CodedBuffers,
  groupSize: number,
): Promise<Float64Array> {
  const { w } = backend.run(dequantizeAffine, { codes, scales, zeroPoints, groupIndex }, { groupSize });
  return valueErrors(backend, weight, hessian, w).finally(() => backend.free(w));
}

/** {@link rowErrors} of dequantized values `[out, in]`. */
export function valueErrors(backend: Backend, weight: BufferHandle, hessian: BufferHandle, values: BufferHandle): Promise<Float64Array> {
  return withBuffers(backend, async (track) => {
    const x = track(backend.run(add, { a: weight, b: values }, { scale: -1 }).y);
    const errors = track(backend.run(quadraticForm, { x, h: hessian }, {}).values);
    return (await backend.download(errors)).data as Float64Array;
  });
}

/** Half, because the Hessian is `2/n · XᵀX`. */
export function meanSquaredError(rowErrorValues: Float64Array): number {
  return rowErrorValues.reduce((sum, value) => sum + value, 0) / (2 * Math.max(1, rowErrorValues.length));
}
