import { type Backend, defineMetric, type Metric, type MetricRun, tensor } from '@calibrant/core';
import { z } from 'zod';
import { negativeLogLikelihood } from '../kernels/negative-log-likelihood.js';
import { expectNumbers } from '../scores/token-scores.js';
import { windowValues } from '../statistics.js';
import { type PerplexityFigures, perplexityFigures } from '../text/perplexity-figures.js';

const options = z.strictObject({
  bytesPerToken: z.number().positive().optional().describe('UTF-8 bytes of the text over its tokens; adds bitsPerByte to the result'),
});
export type PerplexityMetricOptions = z.output<typeof options>;

/** A measurement of perplexity under way. */
export function startPerplexity(
  backend: Backend,
  { bytesPerToken }: PerplexityMetricOptions = {},
): Pick<MetricRun, 'add'> & { figures(): PerplexityFigures } {
  const values = windowValues();
  let tokens = 0;
  return {
    async add({ index, ids, targets, logits }) {
      const lane = logits.lane === undefined ? {} : { lane: logits.lane };
      const uploaded = await backend.upload(tensor('i32', [targets.length], Int32Array.from(targets)), lane);
      const { nll } = backend.run(negativeLogLikelihood, { logits, targets: uploaded }, {});
      try {
        const rows = (await backend.download(nll)).data as Float32Array;
        expectNumbers(rows, index);
        values.set(index, rows);
        tokens += ids.length;
      } finally {
        backend.free(uploaded, nll);
      }
    },
    figures: () => perplexityFigures(values.rows(), tokens, bytesPerToken),
  };
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
      return {
        add: run.add,
        finish() {
          const { parts, ...numbers } = run.figures();
          return numbers;
        },
      };
    },
  });
}
