import { defineKernel, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';
import { expectLogits, expectTargets } from './expect-logits.js';
import { expSum, maximum } from './softmax.js';

/**
 * What each row's prediction says, with p = softmax(logits): `nll` = −ln p[target] (0 where the target is negative, NaN where it is beyond the vocabulary), `top` =
 * the first column with the largest logit (−1 where the row holds NaN), `confidence` = p[top], `squares` = Σ p².
 *
 * logits f32 `[tokens, vocabulary]`, targets i32 `[tokens]` → nll, confidence, squares f32 `[tokens]`, top i32 `[tokens]`. Sums over the vocabulary
 * are in f64. The WebAssembly variant computes each exponential in f32: relative error below 1e-6.
 */
export const tokenScores = defineKernel<'logits' | 'targets', 'nll' | 'top' | 'confidence' | 'squares', Record<string, never>>({
  name: 'eval.tokenScores',
  inputs: { logits: { role: 'rows' }, targets: { role: 'rows' } },
  outputs: { nll: { role: 'rows' }, top: { role: 'rows' }, confidence: { role: 'rows' }, squares: { role: 'rows' } },
  chunkRows: () => 32,
  infer({ logits, targets }) {
    expectLogits('tokenScores', 'logits', logits);
    expectTargets('tokenScores', logits, targets);
    const shape = targets.shape;
    return {
      nll: { dtype: 'f32', shape },
      top: { dtype: 'i32', shape },
      confidence: { dtype: 'f32', shape },
      squares: { dtype: 'f32', shape },
    };
  },
  reference({ logits, targets }) {
    const [count, vocabulary] = logits.shape;
    const [nll, confidence, squares] = [tensor('f32', [count]), tensor('f32', [count]), tensor('f32', [count])];
    const top = tensor('i32', [count]);
    for (let r = 0; r < count; r++) {
      const row = (logits.data as Float32Array).subarray(r * vocabulary, (r + 1) * vocabulary);
      const target = targets.data[r] as number;
      const largest = maximum(row);
      const sum = expSum(row, largest);
      top.data[r] = row.indexOf(largest);
      confidence.data[r] = 1 / sum;
      squares.data[r] = row.reduce((total, x) => total + Math.exp(2 * (x - largest)), 0) / sum ** 2;
      if (target >= 0) nll.data[r] = target < vocabulary ? Math.log(sum) + (largest - row[target]) : Number.NaN;
    }
    return { nll, top, confidence, squares };
  },
  wasm: { module: wasmModule, function: 'tokenScores', scalars: ({ logits }) => [logits?.shape[1] ?? 0] },
});
