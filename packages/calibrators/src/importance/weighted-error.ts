import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** Rows per unit of work. */
const CHUNK_ROWS = 64;

/**
 * Per row of a weight: `errors[r] = Σ importance[c] · (y[r, c] − x[r, c])²` and `norms[r] = Σ importance[c] · x[r, c]²`, f64 `[rows]`. With mean squares of the
 * inputs as importance, their sums over the rows are the expected squared error and size of the layer's output when inputs are uncorrelated. Without importance
 * all columns count 1.
 */
export const weightedError = defineKernel<'x' | 'y' | 'importance', 'errors' | 'norms', Record<string, never>>({
  name: 'calibrators.weightedError',
  inputs: { x: { role: 'rows' }, y: { role: 'rows' }, importance: { role: 'whole', optional: true } },
  outputs: { errors: { role: 'rows' }, norms: { role: 'rows' } },
  chunkRows: () => CHUNK_ROWS,
  infer({ x, y, importance }) {
    expectDtype('weightedError', 'x', x, 'f32');
    expectDtype('weightedError', 'y', y, 'f32');
    expectShape('weightedError', 'y', y, x.shape);
    if (importance) expectShape('weightedError', 'importance', importance, [x.shape[1]]);
    const rows = { dtype: 'f64' as const, shape: [x.shape[0]] };
    return { errors: rows, norms: rows };
  },
  reference({ x, y, importance }) {
    const [rows, columns] = x.shape;
    const [errors, norms] = [new Float64Array(rows), new Float64Array(rows)];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const value = x.data[r * columns + c] as number;
        const off = (y.data[r * columns + c] as number) - value;
        const weight = (importance?.data[c] ?? 1) as number;
        errors[r] += weight * (off * off);
        norms[r] += weight * (value * value);
      }
    return { errors: tensor('f64', [rows], errors), norms: tensor('f64', [rows], norms) };
  },
  wasm: { module: wasmModule, function: 'weightedError', scalars: ({ x }) => [x!.shape[1]] },
});
