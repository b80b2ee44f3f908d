import { defineKernel, expectDtype, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';
import { matrixOf } from './matrix-of.js';

/**
 * Of each column of `x [rows, columns]` f32: the largest size (f32), sum and sum of squares (f64, exact products of f32, rows in order), and how often
 * `|x| ≥ threshold` (rounded to f32). A NaN makes its column's size and sums NaN.
 */
export const channelStatistics = defineKernel<'x', 'absMax' | 'sums' | 'squares' | 'above', { readonly threshold: number }>({
  name: 'outliers.channelStatistics',
  inputs: { x: { role: 'whole' } },
  outputs: { absMax: { role: 'whole' }, sums: { role: 'whole' }, squares: { role: 'whole' }, above: { role: 'whole' } },
  infer({ x }) {
    expectDtype('channelStatistics', 'x', x, 'f32');
    const shape = [matrixOf(x).columns];
    return {
      absMax: { dtype: 'f32', shape },
      sums: { dtype: 'f64', shape },
      squares: { dtype: 'f64', shape },
      above: { dtype: 'i32', shape },
    };
  },
  reference({ x }, { threshold }) {
    const { rows, columns } = matrixOf(x);
    const values = x.data as Float32Array;
    const limit = Math.fround(threshold);
    const absMax = new Float32Array(columns);
    const [sums, squares, above] = [new Float64Array(columns), new Float64Array(columns), new Int32Array(columns)];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const value = values[r * columns + c];
        absMax[c] = Math.max(absMax[c], Math.abs(value));
        sums[c] += value;
        squares[c] += value * value;
        if (Math.abs(value) >= limit) above[c]++;
      }
    const shape = [columns];
    return {
      absMax: tensor('f32', shape, absMax),
      sums: tensor('f64', shape, sums),
      squares: tensor('f64', shape, squares),
      above: tensor('i32', shape, above),
    };
  },
  wasm: {
    module: wasmModule,
    function: 'channelStatistics',
    scalars: ({ x }, { threshold }) => [matrixOf(x!).rows, matrixOf(x!).columns, threshold],
  },
});
