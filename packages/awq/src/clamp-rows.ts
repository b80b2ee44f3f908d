import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** `y = max(−bound, min(bound, w))` with a bound of each row: `w [rows, columns]`, `bounds [rows, 1]` f32, not negative. */
export const clampRows = defineKernel<'w' | 'bounds', 'y', Record<string, never>>({
  name: 'awq.clampRows',
  inputs: { w: { role: 'rows' }, bounds: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, bounds }) {
    expectShape('clampRows', 'w', w, [undefined, undefined]);
    expectDtype('clampRows', 'w', w, 'f32');
    expectShape('clampRows', 'bounds', bounds, [w.shape[0], 1]);
    expectDtype('clampRows', 'bounds', bounds, 'f32');
    return { y: w };
  },
  reference({ w, bounds }) {
    const columns = w.shape[1];
    const y = tensor('f32', w.shape);
    for (let i = 0; i < y.data.length; i++) {
      const bound = bounds.data[Math.floor(i / columns)] as number;
      y.data[i] = Math.max(-bound, Math.min(bound, w.data[i] as number));
    }
    return { y };
  },
  wasm: { module: wasmModule, function: 'clampRows', scalars: ({ w }) => [w!.shape[1]] },
});
