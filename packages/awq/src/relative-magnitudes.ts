import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** `sums [columns]` f64: over the rows of `w [rows, columns]` f32, the sum of `|w| / (largest |w| of its group + 1e-6)`, quotients in f64. */
export const relativeMagnitudes = defineKernel<'w', 'sums', { readonly groupSize: number }>({
  name: 'awq.relativeMagnitudes',
  inputs: { w: { role: 'whole' } },
  outputs: { sums: { role: 'whole' } },
  infer({ w }) {
    expectShape('relativeMagnitudes', 'w', w, [undefined, undefined]);
    expectDtype('relativeMagnitudes', 'w', w, 'f32');
    return { sums: { dtype: 'f64', shape: [w.shape[1]] } };
  },
  reference({ w }, { groupSize }) {
    const [count, columns] = w.shape;
    const sums = new Float64Array(columns);
    for (let r = 0; r < count; r++)
      for (let start = 0; start < columns; start += groupSize) {
        const end = Math.min(columns, start + groupSize);
        let largest = 0;
        for (let c = start; c < end; c++) largest = Math.max(largest, Math.abs(w.data[r * columns + c] as number));
        for (let c = start; c < end; c++) sums[c] += Math.abs(w.data[r * columns + c] as number) / (largest + 1e-6);
      }
    return { sums: tensor('f64', [columns], sums) };
  },
  wasm: { module: wasmModule, function: 'relativeMagnitudes', scalars: ({ w }, { groupSize }) => [w!.shape[0], w!.shape[1], groupSize] },
});
