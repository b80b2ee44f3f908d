import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** Peaks of each row that {@link rowPeaks} gives. */
export const PEAKS = 4;

/**
 * The four values of each row of `x [rows, columns]` f32 that are largest in size, in falling order (the first ones where sizes are equal): `values`
 * f32 and `columns` i32, both `[rows, 4]`. Where there are fewer columns, value 0 and column −1.
 */
export const rowPeaks = defineKernel<'x', 'values' | 'columns', Record<string, never>>({
  name: 'outliers.rowPeaks',
  inputs: { x: { role: 'rows' } },
  outputs: { values: { role: 'rows' }, columns: { role: 'rows' } },
  chunkRows: ({ x }) => Math.max(1, Math.floor(262144 / (x.shape[1] || 1))),
  infer({ x }) {
    expectShape('rowPeaks', 'x', x, [undefined, undefined]);
    expectDtype('rowPeaks', 'x', x, 'f32');
    const shape = [x.shape[0], PEAKS];
    return { values: { dtype: 'f32', shape }, columns: { dtype: 'i32', shape } };
  },
  reference({ x }) {
    const [count, width] = x.shape;
    const values = new Float32Array(count * PEAKS);
    const columns = new Int32Array(count * PEAKS).fill(-1);
    for (let r = 0; r < count; r++) {
      const row = (x.data as Float32Array).subarray(r * width, (r + 1) * width);
      let found = 0;
      for (let c = 0; c < width; c++) {
        const size = Math.abs(row[c]);
        let at = found;
        while (at > 0 && size > Math.abs(values[r * PEAKS + at - 1])) at--;
        if (at === PEAKS) continue;
        found = Math.min(PEAKS, found + 1);
        values.copyWithin(r * PEAKS + at + 1, r * PEAKS + at, r * PEAKS + found - 1);
        columns.copyWithin(r * PEAKS + at + 1, r * PEAKS + at, r * PEAKS + found - 1);
        values[r * PEAKS + at] = row[c];
        columns[r * PEAKS + at] = c;
      }
    }
    return { values: tensor('f32', [count, PEAKS], values), columns: tensor('i32', [count, PEAKS], columns) };
  },
  wasm: { module: wasmModule, function: 'rowPeaks', scalars: ({ x }) => [x?.shape[1] ?? 0] },
});
