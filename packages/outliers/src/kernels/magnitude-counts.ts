import { defineKernel, elementCount, expectDtype, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** Bins of {@link magnitudeCounts}: the upper half of the bits without the sign. */
export const MAGNITUDES = 32768;

/** The smallest magnitude of a bin of {@link magnitudeCounts}. */
export function magnitudeOf(bin: number): number {
  return new Float32Array(Uint32Array.of(bin << 16).buffer)[0];
}

/** How many values of `x` f32 have a magnitude in each bin of bf16's width: `counts [32768]` i32. Bin i begins at `magnitudeOf(i)`. */
export const magnitudeCounts = defineKernel<'x', 'counts', Record<string, never>>({
  name: 'outliers.magnitudeCounts',
  inputs: { x: { role: 'whole' } },
  outputs: { counts: { role: 'whole' } },
  infer({ x }) {
    expectDtype('magnitudeCounts', 'x', x, 'f32');
    return { counts: { dtype: 'i32', shape: [MAGNITUDES] } };
  },
  reference({ x }) {
    const bits = new Uint32Array((x.data as Float32Array).slice().buffer);
    const counts = new Int32Array(MAGNITUDES);
    for (const value of bits) counts[(value >>> 16) & 0x7fff]++;
    return { counts: tensor('i32', [MAGNITUDES], counts) };
  },
  wasm: { module: wasmModule, function: 'magnitudeCounts', scalars: ({ x }) => [elementCount(x!.shape)] },
});
