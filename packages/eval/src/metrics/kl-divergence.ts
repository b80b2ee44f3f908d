import { type Backend, CalibrantError, defineMetric, type Metric, type MetricRun } from '@calibrant/core';
import { z } from 'zod';
import { klDivergence } from '../kernels/kl-divergence.js';
import { meanAndError, quantile, windowValues } from '../statistics.js';
import { expectNumbers } from './perplexity.js';

/** How far a model's predictions are from those of its full-precision self, over all scored positions. */
export interface DivergenceFigures {
  /** Mean of `KL(base ‖ quantized)`, nats per token. */
  readonly meanKl: number;
  readonly meanKlStandardError: number;
  readonly medianKl: number;
  /** 99 % of the tokens are below. */
  readonly kl99: number;
  readonly maxKl: number;
  /** Fraction of positions at which both models find the same token most likely. */
  readonly sameTop: number;
  readonly sameTopStandardError: number;
}

/** A comparison under way; windows must carry `reference`. */
export function startDivergence(backend: Backend): Omit<MetricRun, 'finish'> & { finish(): DivergenceFigures } {
  const divergences = windowValues();
  const agreements = windowValues();
  return {
    async add({ index, logits, reference }) {
      if (!reference)
        throw new CalibrantError('INVALID_ARGUMENT', 'A divergence needs the full-precision model: give its logits as `reference`.');
      const { kl, same } = backend.run(klDivergence, { base: reference, quantized: logits }, {});
      try {
        const [rows, agree] = await Promise.all([backend.download(kl), backend.download(same)]);
        const scored = (rows.data as Float32Array).slice(0, -1);
        expectNumbers(scored, index);
        divergences.set(index, scored);
        agreements.set(index, Float32Array.from((agree.data as Uint8Array).subarray(0, -1)));
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
    options: z.strictObject({}) as z.ZodType<Record<string, never>>,
    needsReference: true,
    start(backend) {
      const run = startDivergence(backend);
      return { add: run.add, finish: () => ({ ...run.finish() }) };
    },
  });
}

/** The metric `same-top` as a plug-in: how often both models find the same token most likely. */
export function sameTopMetric(): Metric<Record<string, never>> {
  return defineMetric({
    name: 'same-top',
    meta: { description: "how often the most likely token is the full-precision model's", package: '@calibrant/eval' },
    options: z.strictObject({}) as z.ZodType<Record<string, never>>,
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
