import {
  type Backend,
  channelMagnitudes,
  defineTransform,
  parseOptions,
  type QuantizerContext,
  type ScalingSite,
  type Transform,
  type TransformBlock,
  type TransformFacts,
  throwIfAborted,
} from '@calibrant/core';
import { z } from 'zod';
import { defaultAlpha } from './default-alpha.js';
import { type Observed, observeSites } from './observe-site.js';
import { outputLoss, type Trial } from './search-alpha.js';
import { smoothingFactors } from './smoothing-factors.js';

const schema = z.strictObject({
  alpha: z
    .union([z.number().min(0).max(1), z.literal('search')])
    .optional()
    .describe(
      'migration strength, 0 (all stays in the activations) to 1; search: the best for each site; the published one for the architecture (else 0.5) if absent',
    ),
  gridSteps: z.number().int().min(1).max(100).default(20).describe('search: steps between 0 and 1'),
  searchTokens: z.number().int().min(1).default(512).describe('search: calibration tokens on which errors are measured'),
  throughLayers: z.boolean().default(false).describe('also scale between layers: v to o, up to down'),
});

export type SmoothQuantOptions = z.input<typeof schema>;
type Resolved = z.output<typeof schema>;

/**
 * SmoothQuant (Xiao et al., arXiv 2211.10438): divides each channel of a layer's input by `s[j] = max|X[j]|^α / max|W[j]|^(1−α)` and multiplies the weights by it, so that outlier channels
 * of activations lose their size. Factors go into the norm before (also norms by 1 + weight, and biases); what reads the same value follows: fused projections, parallel blocks,
 * routers and all experts of a mixture. The function stays as it is. `options` become the defaults.
 *
 * Facts of each site: `alpha`; `largestBefore` and `largestAfter` (the largest activation over the median of the channels' largest); with `alpha: 'search'` also `loss` and `lossBefore` (the
 * relative squared error of the quantized layers' outputs, chosen and unsmoothed).
 *
 * @example
 * const plugins = [smoothquant({ alpha: 'search' })];
 */
export function smoothquant(options: SmoothQuantOptions = {}): Transform<Resolved> {
  const defaults = parseOptions(schema, options, 'smoothquant');
  return defineTransform<Resolved>({
    name: 'smoothquant',
    meta: {
      description: 'SmoothQuant: moves outliers of activations into the weights',
      source: 'https://arxiv.org/abs/2211.10438',
      package: '@calibrant/smoothquant',
    },
    options: schema.extend({
      alpha: defaults.alpha === undefined ? schema.shape.alpha : schema.shape.alpha.default(defaults.alpha),
      gridSteps: schema.shape.gridSteps.default(defaults.gridSteps),
      searchTokens: schema.shape.searchTokens.default(defaults.searchTokens),
      throughLayers: schema.shape.throughLayers.default(defaults.throughLayers),
    }) as unknown as z.ZodType<Resolved>,
    needs: ['calibration'],
    peaksSuffice: ({ alpha }) => alpha !== 'search',
    accepts({ predecessor }, { throughLayers }) {
      if (predecessor.kind === 'norm' || throughLayers) return true;
      return 'they read the output of a layer, which SmoothQuant scales only with throughLayers.';
    },
    async apply(block, resolved, context) {
      const { backend, signal } = context;
      if (block.sites.length === 0) return [];
      const observed = await observeSites(block, backend, resolved.alpha === 'search' ? resolved.searchTokens : 0);
      const facts: TransformFacts[] = [];
      for (const site of block.sites) {
        throwIfAborted(signal);
        facts.push(await smooth(site, block, observed, resolved, context));
      }
      return facts;
    },
  });
}

async function smooth(
  site: ScalingSite,
  block: TransformBlock,
  { peaks, samples }: Observed,
  options: Resolved,
  context: QuantizerContext,
): Promise<TransformFacts> {
  const activations = peaks.get(site) as Float32Array;
  const weights = await weightPeaks(site, block, context.backend);
  const factorsOf = (alpha: number) => smoothingFactors(activations, weights, alpha, site.predecessor.rows);
  const lossOf = (factors: Float32Array) => outputLoss(site.linears, samples, block.weights, factors, context);

  let alpha = typeof options.alpha === 'number' ? options.alpha : defaultAlpha(block.architecture);
  let losses: { loss: number; lossBefore: number } | undefined;
  if (options.alpha === 'search') {
    const lossBefore = await lossOf(new Float32Array(site.channels).fill(1));
    const trials: Trial[] = [];
    for (let step = 0; step <= options.gridSteps; step++) {
      const tried = step / options.gridSteps;
      trials.push({ alpha: tried, loss: await lossOf(factorsOf(tried)) });
    }
    const best = trials.reduce((least, trial) => (trial.loss < least.loss ? trial : least));
    losses = { loss: Math.min(best.loss, lossBefore), lossBefore };
    if (!(best.loss < lossBefore)) return { at: site.name, facts: { ...losses, alpha: 'none', ...spread(activations, activations) } };
    alpha = best.alpha;
  }
  const factors = await block.fold(site, factorsOf(alpha));
  const after = activations.map((peak, channel) => peak / factors[channel]);
  return { at: site.name, facts: { alpha, ...losses, ...spread(activations, after) } };
}

/** `max |w|` of each input channel over all layers that read it; routers do not count, nothing rounds them. */
async function weightPeaks(site: ScalingSite, { weights }: TransformBlock, backend: Backend): Promise<Float32Array> {
  const largest = new Float32Array(site.channels);
  const quantized = site.linears.filter(({ scheme }) => scheme);
  for (const { weight } of quantized.length > 0 ? quantized : site.linears) {
    const x = weights.get(weight);
    if (!x) continue;
    const { peaks, sums } = backend.run(channelMagnitudes, { x }, {});
    const { data } = await backend.download(peaks);
    backend.free(peaks, sums);
    for (let c = 0; c < largest.length; c++) largest[c] = Math.max(largest[c], data[c] as number);
  }
  return largest;
}

/** How far the largest channel stands out: its peak over the median channel's. */
function spread(before: Float32Array, after: Float32Array): { readonly largestBefore: number; readonly largestAfter: number } {
  const ratio = (peaks: Float32Array) => {
    const sorted = Float32Array.from(peaks).sort();
    const median = sorted[Math.floor(sorted.length / 2)];
    return median > 0 ? Number((sorted[sorted.length - 1] / median).toPrecision(4)) : 0;
  };
  return { largestBefore: ratio(before), largestAfter: ratio(after) };
}
