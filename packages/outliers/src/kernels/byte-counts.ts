import { defineKernel, elementCount, expectDtype, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** How often each code occurs: `codes` u8 → `counts [256]` i32. */
export const byteCounts = defineKernel<'codes', 'counts', Record<string, never>>({
  name: 'outliers.byteCounts',
  inputs: { codes: { role: 'whole' } },
  outputs: { counts: { role: 'whole' } },
  infer({ codes }) {
    expectDtype('byteCounts', 'codes', codes, 'u8');
    return { counts: { dtype: 'i32', shape: [256] } };
  },
  reference({ codes }) {
    const counts = new Int32Array(256);
    for (const code of codes.data as Uint8Array) counts[code]++;
    return { counts: tensor('i32', [256], counts) };
  },
  wasm: { module: wasmModule, function: 'byteCounts', scalars: ({ codes }) => [elementCount(codes!.shape)] },
});
