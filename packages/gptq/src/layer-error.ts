import {
  add,
  type Backend,
  type BufferHandle,
  defineKernel,
  dequantizeAffine,
  expectDtype,
  expectShape,
  linear,
  tensor,
  withBuffers,
} from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** The dot product of each row of a with the same row of b, f32 in, f64 sum and result `[rows]`. */
export const rowDot = defineKernel<'a' | 'b', 'dots', Record<string, never>>({
  name: 'gptq.rowDot',
  inputs: { a: { role: 'rows' }, b: { role: 'rows' } },
  outputs: { dots: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ a, b }) {
    expectShape('rowDot', 'a', a, [undefined, undefined]);
    expectDtype('rowDot', 'a', a, 'f32');
    expectShape('rowDot', 'b', b, a.shape);
    expectDtype('rowDot', 'b', b, 'f32');
    return { dots: { dtype: 'f64', shape: [a.shape[0]] } };
  },
  reference({ a, b }) {
    const [rows, columns] = a.shape;
    const dots = tensor('f64', [rows]);
    for (let at = 0; at < rows * columns; at++)
      (dots.data as Float64Array)[Math.floor(at / columns)] += (a.data[at] as number) * (b.data[at] as number);
    return { dots };
  },
  wasm: { module: wasmModule, function: 'rowDot', scalars: ({ a }) => [a!.shape[1]] },
});

export interface CodedBuffers {
  readonly codes: BufferHandle;
  readonly scales: BufferHandle;
  readonly zeroPoints: BufferHandle;
  /** `[in]` i32, where groups are not contiguous. */
  readonly groupIndex?: BufferHandle | undefined;
}

/**
 * `δ·H·δᵀ` of each output row, δ = w − dequantized: with `H = 2/n · XᵀX` twice the mean squared error of that output over the n tokens.
 * `form` is {@link arrange}'s triangle with weight 2, in storage order. The product is f32, the sum over channels f64.
 */
export function rowErrors(
  backend: Backend,
  weight: BufferHandle,
  form: BufferHandle,
  { codes, scales, zeroPoints, groupIndex }: CodedBuffers,
  groupSize: number,
): Promise<Float64Array> {
  return withBuffers(backend, async (track) => {
    const values = track(backend.run(dequantizeAffine, { codes, scales, zeroPoints, groupIndex }, { groupSize }).w);
    const delta = track(backend.run(add, { a: weight, b: values }, { scale: -1 }).y);
    const product = track(backend.run(linear, { x: delta, w: form }, {}).y);
    const { dots } = backend.run(rowDot, { a: delta, b: product }, {});
    return (await backend.download(track(dots))).data as Float64Array;
  });
}
