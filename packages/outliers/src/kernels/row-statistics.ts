import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/**
 * Of each row of `x [rows, columns]` f32: `moments [rows, 4]` f64, its mean and Σ (x − mean)², Σ (x − mean)³, Σ (x − mean)⁴ by two passes, and
 * `ranges [rows, 2]` f32, its smallest and largest value. The WebAssembly variant adds in four strands: relative difference below 1e-12.
 */
export const rowStatistics = defineKernel<'x', 'moments' | 'ranges', Record<string, never>>({
  name: 'outliers.rowStatistics',
  inputs: { x: { role: 'rows' } },
  outputs: { moments: { role: 'rows' }, ranges: { role: 'rows' } },
  chunkRows: ({ x }) => Math.max(1, Math.floor(262144 / (x.shape[1] || 1))),
  infer({ x }) {
    expectShape('rowStatistics', 'x', x, [undefined, undefined]);
    expectDtype('rowStatistics', 'x', x, 'f32');
    return { moments: { dtype: 'f64', shape: [x.shape[0], 4] }, ranges: { dtype: 'f32', shape: [x.shape[0], 2] } };
  },
  reference({ x }) {
    const [count, columns] = x.shape;
    const moments = new Float64Array(count * 4);
    const ranges = new Float32Array(count * 2);
    for (let r = 0; r < count; r++) {
      const row = (x.data as Float32Array).subarray(r * columns, (r + 1) * columns);
      let [sum, least, most] = [0, Infinity, -Infinity];
      for (const value of row) {
        sum += value;
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
      const mean = columns > 0 ? sum / columns : 0;
      let [m2, m3, m4] = [0, 0, 0];
      for (const value of row) {
        const d = value - mean;
        m2 += d * d;
        m3 += d * d * d;
        m4 += d * d * (d * d);
      }
      moments.set([mean, m2, m3, m4], 4 * r);
      ranges.set([least, most], 2 * r);
    }
    return { moments: tensor('f64', [count, 4], moments), ranges: tensor('f32', [count, 2], ranges) };
  },
  wasm: { module: wasmModule, function: 'rowStatistics', scalars: ({ x }) => [x?.shape[1] ?? 0] },
});
