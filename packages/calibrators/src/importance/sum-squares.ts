import { defineKernel, expectDtype, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/**
 * `sums [columns]` of `x [rows, columns]`: `Σ x²` over the rows, in their order and in f64 (exact products of f32, 53 bits for the sum), so that every
 * backend gives the same.
 */
export const sumSquares = defineKernel<'x', 'sums', Record<string, never>>({
  name: 'calibrators.sumSquares',
  inputs: { x: { role: 'whole' } },
  outputs: { sums: { role: 'whole' } },
  infer({ x }) {
    expectDtype('sumSquares', 'x', x, 'f32');
    return { sums: { dtype: 'f64', shape: [x.shape.at(-1) ?? 1] } };
  },
  reference({ x }) {
    const columns = x.shape.at(-1) ?? 1;
    const sums = new Float64Array(columns);
    for (let at = 0; at < x.data.length; at += columns)
      for (let c = 0; c < columns; c++) {
        const value = x.data[at + c] as number;
        sums[c] += value * value;
      }
    return { sums: tensor('f64', [columns], sums) };
  },
  wasm: {
    module: wasmModule,
    function: 'sumSquares',
    scalars: ({ x }) => [x!.shape.slice(0, -1).reduce((product, size) => product * size, 1), x!.shape.at(-1) ?? 1],
  },
});
