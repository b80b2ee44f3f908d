import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** `counts [columns, bins]` i32: for each column of `x [rows, columns]` f32, sizes by `trunc(|x| · perUnit[column])` in f32; larger ones are not counted. */
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
        const place = Math.trunc(Math.fround(Math.abs(x.data[r * columns + c] as number) * (perUnit.data[c] as number)));
        if (place < bins) counts[c * bins + place]++;
      }
    return { counts: tensor('i32', [columns, bins], counts) };
  },
  wasm: {
    module: wasmModule,
    function: 'columnBins',
    scalars: ({ x }, { bins }) => [x?.shape[0] ?? 0, x?.shape[1] ?? 0, bins],
  },
});
