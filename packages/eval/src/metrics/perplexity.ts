import { type Backend, CalibrantError, defineMetric, type Metric, type MetricRun, tensor } from '@calibrant/core';
import { z } from 'zod';
import { negativeLogLikelihood } from '../kernels/negative-log-likelihood.js';
import { meanAndError, windowValues } from '../statistics.js';

const options = z.strictObject({
  bytesPerToken: z.number().positive().optional().describe('UTF-8 bytes of the text over its tokens; adds bitsPerByte to the result'),
});
export type PerplexityMetricOptions = z.output<typeof options>;

/** {@link perplexityMetric}'s figures. */
export interface PerplexityFigures {
  /** `e^meanNll` */
  readonly perplexity: number;
  /** Nats per scored token. */
  readonly meanNll: number;
  /** Of the perplexity: perplexity times the standard error of meanNll. */
  readonly standardError: number;
  readonly tokens: number;
  readonly scoredTokens: number;
  readonly windows: number;
  /** `meanNll / ln 2 / bytesPerToken`; comparable between vocabularies. */
  readonly bitsPerByte?: number;
}

/** A measurement of perplexity under way: the negative log likelihood of each window's tokens but the first. */
export function startPerplexity(
  backend: Backend,
  { bytesPerToken }: PerplexityMetricOptions = {},
): Omit<MetricRun, 'finish'> & { finish(): PerplexityFigures } {
  const values = windowValues();
  return {
    async add({ index, ids, logits }) {
      // Row t predicts token t + 1; the last row predicts nothing that is known.
      const next = new Int32Array(ids.length).fill(-1);
      next.set(ids.subarray(1));
      const targets = await backend.upload(tensor('i32', [next.length], next), logits.lane === undefined ? {} : { lane: logits.lane });
      const { nll } = backend.run(negativeLogLikelihood, { logits, targets }, {});
      try {
        const rows = ((await backend.download(nll)).data as Float32Array).slice(0, -1);
        expectNumbers(rows, index);
        values.set(index, rows);
      } finally {
        backend.free(targets, nll);
      }
    },
    finish() {
      const all = values.all();
      const { mean, standardError } = meanAndError(all);
      const perplexity = Math.exp(mean);
      return {
        perplexity,
        meanNll: mean,
        standardError: perplexity * standardError,
        tokens: all.length + values.windows,
        scoredTokens: all.length,
        windows: values.windows,
        ...(bytesPerToken === undefined ? {} : { bitsPerByte: mean / Math.LN2 / bytesPerToken }),
      };
    },
  };
}

/** @throws CalibrantError `NON_FINITE` that names the window and token. */
export function expectNumbers(values: Float32Array, window: number): void {
  const bad = values.findIndex((value) => Number.isNaN(value));
  if (bad >= 0)
    throw new CalibrantError(
      'NON_FINITE',
      `The logits that predict token ${bad + 1} of window ${window} hold NaN. The model's weights hold NaN or infinite values, or its arithmetic overflowed: check the weights (\`calibrant inspect\`) or measure in f32.`,
      { window, token: bad + 1 },
    );
}

/** The metric `perplexity` as a plug-in. */
export function perplexityMetric(): Metric<PerplexityMetricOptions> {
  return defineMetric({
    name: 'perplexity',
    meta: { description: 'e to the mean negative log likelihood per token', package: '@calibrant/eval' },
    options,
    needsReference: false,
    start(backend, chosen) {
      const run = startPerplexity(backend, chosen);
      return { add: run.add, finish: () => ({ ...run.finish() }) };
    },
  });
}
