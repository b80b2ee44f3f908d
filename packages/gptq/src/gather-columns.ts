import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** Picks columns of `x [rows, n]` f32: `y[r, i] = x[r, columns[i]]`, and 0 where `columns[i]` is negative. `columns [k]` i32, below n. */
export const gatherColumns = defineKernel<'x' | 'columns', 'y', Record<string, never>>({
  name: 'gptq.gatherColumns',
  inputs: { x: { role: 'rows' }, columns: { role: 'whole' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x, columns }) {
    expectShape('gatherColumns', 'x', x, [undefined, undefined]);
    expectDtype('gatherColumns', 'x', x, 'f32');
    expectShape('gatherColumns', 'columns', columns, [undefined]);
    expectDtype('gatherColumns', 'columns', columns, 'i32');
    return { y: { dtype: 'f32', shape: [x.shape[0], columns.shape[0]] } };
  },
  reference({ x, columns }) {
    const [rows, n] = x.shape;
    const k = columns.shape[0];
    const y = tensor('f32', [rows, k]);
    const from = columns.data as Int32Array;
    for (let r = 0; r < rows; r++) for (let i = 0; i < k; i++) y.data[r * k + i] = from[i] < 0 ? 0 : x.data[r * n + from[i]];
    return { y };
  },
  wasm: { module: wasmModule, function: 'gatherColumns', scalars: ({ x, columns }) => [x!.shape[1], columns!.shape[0]] },
});
