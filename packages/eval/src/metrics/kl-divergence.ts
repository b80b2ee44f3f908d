import { type Backend, CalibrantError, defineMetric, type Metric, type MetricRun } from '@calibrant/core';
import { z } from 'zod';
import { klDivergence } from '../kernels/kl-divergence.js';
import { expectNumbers } from '../scores/token-scores.js';
import { meanAndError, quantile, windowValues } from '../statistics.js';

const none = z.strictObject({}) as z.ZodType<Record<string, never>>;

function startDivergence(backend: Backend): MetricRun {
  const divergences = windowValues();
  const agreements = windowValues();
  return {
    async add({ index, logits, reference }) {
      if (!reference)
        throw new CalibrantError('INVALID_ARGUMENT', 'A divergence needs the full-precision model: give its logits as `reference`.');
      const { kl, same } = backend.run(klDivergence, { base: reference, quantized: logits }, {});
      try {
        const [rows, agree] = await Promise.all([backend.download(kl), backend.download(same)]);
        expectNumbers(rows.data as Float32Array, index);
        divergences.set(index, rows.data as Float32Array);
        agreements.set(index, Float32Array.from(agree.data as Uint8Array));
      } finally {
        backend.free(kl, same);
      }
    },
    finish() {
      const all = divergences.all();
      const { mean, standardError } = meanAndError(all);
      const agreement = meanAndError(agreements.all());
      const sorted = all.sort();
      return {
        meanKl: mean,
        meanKlStandardError: standardError,
        medianKl: quantile(sorted, 0.5),
        kl99: quantile(sorted, 0.99),
        maxKl: sorted[sorted.length - 1],
        sameTop: agreement.mean,
        sameTopStandardError: agreement.standardError,
      };
    },
  };
}

/** The metric `kl-divergence` as a plug-in. */
export function klDivergenceMetric(): Metric<Record<string, never>> {
  return defineMetric({
    name: 'kl-divergence',
    meta: { description: 'Kullback-Leibler divergence from the full-precision model, per token', package: '@calibrant/eval' },
    options: none,
    needsReference: true,
    start: startDivergence,
  });
}

/** The metric `same-top` as a plug-in: how often both models find the same token most likely. */
export function sameTopMetric(): Metric<Record<string, never>> {
  return defineMetric({
    name: 'same-top',
    meta: { description: "how often the most likely token is the full-precision model's", package: '@calibrant/eval' },
    options: none,
    needsReference: true,
    start(backend) {
      const run = startDivergence(backend);
      return {
        add: run.add,
        finish() {
          const { sameTop, sameTopStandardError } = run.finish();
          return { sameTop, standardError: sameTopStandardError };
        },
      };
    },
  });
}
