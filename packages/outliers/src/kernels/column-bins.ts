import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/**
 * `counts [columns, bins]` i32: for each column of `x [rows, columns]` f32, how many values are 0 (bin 0), and how many others have `trunc(|x| · perUnit[column])` = 0, 1, …
 * in f32 (bins 1, 2, …; larger ones are in the last).
 */
export const columnBins = defineKernel<'x' | 'perUnit', 'counts', { readonly bins: number }>({
  name: 'outliers.columnBins',
  inputs: { x: { role: 'whole' }, perUnit: { role: 'whole' } },
  outputs: { counts: { role: 'whole' } },
  infer({ x, perUnit }, { bins }) {
    expectShape('columnBins', 'x', x, [undefined, undefined]);
    expectDtype('columnBins', 'x', x, 'f32');
    expectShape('columnBins', 'perUnit', perUnit, [x.shape[1]]);
    return { counts: { dtype: 'i32', shape: [x.shape[1], bins] } };
  },
  reference({ x, perUnit }, { bins }) {
    const [rows, columns] = x.shape;
    const counts = new Int32Array(columns * bins);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const size = Math.abs(x.data[r * columns + c] as number);
        const bin = size === 0 ? 0 : Math.min(Math.trunc(Math.fround(size * (perUnit.data[c] as number))) + 1, bins - 1);
        counts[c * bins + bin]++;
      }
    return { counts: tensor('i32', [columns, bins], counts) };
  },
  wasm: {
    module: wasmModule,
    function: 'columnBins',
    scalars: ({ x }, { bins }) => [x?.shape[0] ?? 0, x?.shape[1] ?? 0, bins],
  },
});
