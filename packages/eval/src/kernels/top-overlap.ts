import { CalibrantError, defineKernel, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';
import { expectPair } from './expect-logits.js';

/** The most that {@link topOverlap} looks at. */
export const MAX_TOP = 64;

/**
 * How many columns are among the `count` largest of both rows. Of equal values the lower columns come first.
 *
 * base and quantized f32 `[tokens, vocabulary]` → common u8 `[tokens]`, 0 to `count`; NaN counts as smaller than everything.
 */
export const topOverlap = defineKernel<'base' | 'quantized', 'common', { readonly count: number }>({
  name: 'eval.topOverlap',
  inputs: { base: { role: 'rows' }, quantized: { role: 'rows' } },
  outputs: { common: { role: 'rows' } },
  chunkRows: () => 32,
  infer({ base, quantized }, { count }) {
    expectPair('topOverlap', base, quantized);
    if (!(Number.isInteger(count) && count >= 1 && count <= Math.min(MAX_TOP, base.shape[1])))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `topOverlap: count must be from 1 to ${Math.min(MAX_TOP, base.shape[1])}, found ${count}.`,
      );
    return { common: { dtype: 'u8', shape: [base.shape[0]] } };
  },
  reference({ base, quantized }, { count }) {
    const [rows, vocabulary] = base.shape;
    const common = tensor('u8', [rows]);
    for (let r = 0; r < rows; r++) {
      const [a, b] = [base, quantized].map(({ data }) =>
        largest((data as Float32Array).subarray(r * vocabulary, (r + 1) * vocabulary), count),
      );
      common.data[r] = a.filter((column) => b.includes(column)).length;
    }
    return { common };
  },
  wasm: { module: wasmModule, function: 'topOverlap', scalars: ({ base }, { count }) => [base?.shape[1] ?? 0, count] },
});

function largest(row: Float32Array, count: number): number[] {
  const order = Array.from(row, (_, i) => i).filter((i) => row[i] > -Infinity);
  return order.sort((a, b) => row[b] - row[a] || a - b).slice(0, count);
}
