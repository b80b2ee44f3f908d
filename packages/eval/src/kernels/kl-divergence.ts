import { defineKernel, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';
import { expectPair } from './expect-logits.js';
import { expSum, maximum } from './softmax.js';

/**
 * Kullback-Leibler divergence of each row, `kl = Σ p·ln(p/q)` (natural logarithm) with p = softmax(base) and q = softmax(quantized),
 * and whether both rows have their first maximum in the same column.
 *
 * base and quantized f32 `[tokens, vocabulary]` → kl f32 `[tokens]`, same u8 `[tokens]` (1 or 0).
 *
 * The textbook sum loses all digits when q ≈ p. Since Σp = Σq = 1 it equals `Σ p·(e^t − 1 − t)` with `t = ln q − ln p`, which has no
 * negative terms and in which an error ε of the normalizers counts only as ε²/2. Sums are in f64. The WebAssembly variant computes
 * exponentials in f32: relative error below 2e-6 (plus 1e-13 absolute), also when the divergence is 1e-9.
 */
export const klDivergence = defineKernel<'base' | 'quantized', 'kl' | 'same', Record<string, never>>({
  name: 'eval.klDivergence',
  inputs: { base: { role: 'rows' }, quantized: { role: 'rows' } },
  outputs: { kl: { role: 'rows' }, same: { role: 'rows' } },
  chunkRows: () => 32,
  infer({ base, quantized }) {
    expectPair('klDivergence', base, quantized);
    const shape = [base.shape[0]];
    return { kl: { dtype: 'f32', shape }, same: { dtype: 'u8', shape } };
  },
  reference({ base, quantized }) {
    const [count, vocabulary] = base.shape;
    const kl = tensor('f32', [count]);
    const same = tensor('u8', [count]);
    for (let r = 0; r < count; r++) {
      const a = (base.data as Float32Array).subarray(r * vocabulary, (r + 1) * vocabulary);
      const b = (quantized.data as Float32Array).subarray(r * vocabulary, (r + 1) * vocabulary);
      kl.data[r] = divergence(a, b);
      const top = a.indexOf(maximum(a));
      same.data[r] = top >= 0 && top === b.indexOf(maximum(b)) ? 1 : 0;
    }
    return { kl, same };
  },
  wasm: { module: wasmModule, function: 'klDivergence', scalars: ({ base }) => [base?.shape[1] ?? 0] },
});

function divergence(a: Float32Array, b: Float32Array): number {
  const [topA, topB] = [maximum(a), maximum(b)];
  const [sumA, sumB] = [expSum(a, topA), expSum(b, topB)];
  const shift = topB - topA + Math.log(sumB) - Math.log(sumA);
  let total = 0;
  for (let c = 0; c < a.length; c++) {
    const p = Math.exp(a[c] - topA) / sumA;
    const q = Math.exp(b[c] - topB) / sumB;
    const t = b[c] - a[c] - shift;
    if (p === 0) total += q;
    else total += Math.abs(t) <= 0.5 ? p * (Math.expm1(t) - t) : q - p - p * t;
  }
  return total;
}
