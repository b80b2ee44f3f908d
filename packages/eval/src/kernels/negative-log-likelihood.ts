import { defineKernel, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';
import { expectLogits, expectTargets } from './expect-logits.js';
import { expSum, maximum } from './softmax.js';

/**
 * `nll[t] = −ln softmax(logits[t])[targets[t]]`, natural logarithm; rows whose target is negative give 0.
 *
 * logits f32 `[tokens, vocabulary]`, targets i32 `[tokens]` → nll f32 `[tokens]`. The maximum is subtracted first and the sum over the
 * vocabulary is taken in f64. The WebAssembly variant computes each exponential in f32: its absolute error is below 5e-7 (plus f32 rounding
 * of the result). A NaN logit or a target beyond the vocabulary makes the row's result NaN.
 */
export const negativeLogLikelihood = defineKernel<'logits' | 'targets', 'nll', Record<string, never>>({
  name: 'eval.negativeLogLikelihood',
  inputs: { logits: { role: 'rows' }, targets: { role: 'rows' } },
  outputs: { nll: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ logits, targets }) {
    expectLogits('negativeLogLikelihood', 'logits', logits);
    expectTargets('negativeLogLikelihood', logits, targets);
    return { nll: { dtype: 'f32', shape: targets.shape } };
  },
  reference({ logits, targets }) {
    const [count, vocabulary] = logits.shape;
    const nll = tensor('f32', [count]);
    for (let r = 0; r < count; r++) {
      const target = targets.data[r] as number;
      if (target < 0) continue;
      const row = (logits.data as Float32Array).subarray(r * vocabulary, (r + 1) * vocabulary);
      const top = maximum(row);
      nll.data[r] = Math.log(expSum(row, top)) + (top - row[target]);
    }
    return { nll };
  },
  wasm: { module: wasmModule, function: 'negativeLogLikelihood', scalars: ({ logits }) => [logits?.shape[1] ?? 0] },
});
