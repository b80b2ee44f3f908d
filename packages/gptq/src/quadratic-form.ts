import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** Terms that are summed before they join the rest: keeps the f32 sums short. */
const RUN = 256;

/**
 * `x·h·xᵀ` of each row of `x [rows, n]`, for a symmetric `h [n, n]` of which the upper triangle is read: f64 `[rows]`.
 *
 * `Σ_j x_j · (h_jj·x_j + 2·Σ_{i<j} x_i·h_ij)`: half of a full product's work. The inner sum is f32 in runs of 256 terms, the outer one f64.
 */
export const quadraticForm = defineKernel<'x' | 'h', 'values', Record<string, never>>({
  name: 'gptq.quadraticForm',
  inputs: { x: { role: 'rows' }, h: { role: 'whole' } },
  outputs: { values: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x, h }) {
    expectShape('quadraticForm', 'x', x, [undefined, undefined]);
    expectDtype('quadraticForm', 'x', x, 'f32');
    expectShape('quadraticForm', 'h', h, [x.shape[1], x.shape[1]]);
    expectDtype('quadraticForm', 'h', h, 'f32');
    return { values: { dtype: 'f64', shape: [x.shape[0]] } };
  },
  reference({ x, h }) {
    const [rows, n] = x.shape;
    const values = tensor('f64', [rows]);
    const hv = h.data as Float32Array;
    for (let r = 0; r < rows; r++) {
      const row = (x.data as Float32Array).subarray(r * n, (r + 1) * n);
      let total = 0;
      for (let j = 0; j < n; j++) {
        let above = 0;
        for (let start = 0; start < j; start += RUN) {
          let run = 0;
          for (let i = start; i < Math.min(start + RUN, j); i++) run = Math.fround(run + Math.fround(row[i] * hv[i * n + j]));
          above = Math.fround(above + run);
        }
        total += row[j] * (2 * above + hv[j * n + j] * row[j]);
      }
      values.data[r] = total;
    }
    return { values };
  },
  wasm: { module: wasmModule, function: 'quadraticForm', scalars: ({ x }) => [x!.shape[1]] },
});
