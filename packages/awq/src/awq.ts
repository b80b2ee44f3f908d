import { defineTransform, parseOptions, type Transform, type TransformFacts, throwIfAborted } from '@calibrant/core';
import { clipLayer } from './clip-layer.js';
import { observeBlock } from './observe-block.js';
import { type AwqOptions, awqSchema, type ResolvedAwqOptions } from './options.js';
import { searchScale } from './scale-site.js';

/**
 * AWQ (Lin et al., arXiv 2306.00978): a few channels of activations are large, and rounding the weights that they meet costs most. These weights are scaled up before rounding and the channels down, by
 * exponents that are searched on the outputs of the quantized layers; then groups of weights are clipped where that helps. Scaling leaves the function as it is, clipping nearly. `options` become
 * the defaults.
 *
 * The search rounds on the recipe's own grid of each layer. Facts of a site: `ratio` (or `none`, when nothing was better than no scaling), `duo`, `loss` and `lossUnscaled` (mean
 * squared error of what the layers belong to, chosen and without scaling); of a clipped layer: `clipError` and `clipErrorBefore`.
 *
 * @example
 * const plugins = [awq({ duoScaling: 'both' })];
 */
export function awq(options: AwqOptions = {}): Transform<ResolvedAwqOptions> {
  return defineTransform<ResolvedAwqOptions>({
    name: 'awq',
    meta: {
      description: 'AWQ: scales up the weights that large activations meet, and clips groups of weights',
      source: 'https://arxiv.org/abs/2306.00978',
      package: '@calibrant/awq',
    },
    options: awqSchema(parseOptions(awqSchema(), options, 'awq')),
    needs: ['calibration'],
    accepts({ predecessor }, { sharedHeads }) {
      if (predecessor.sharedBy === 1 || sharedHeads) return true;
      return 'query heads share the value heads before them, which AWQ scales only with sharedHeads.';
    },
    async apply(block, resolved, context) {
      const { backend, signal } = context;
      const observed = await observeBlock(block, backend, resolved.searchTokens);
      const facts: TransformFacts[] = [];
      const divided = new Map<string, Float32Array>();
      for (const site of block.sites) {
        throwIfAborted(signal);
        const found = await searchScale(site, block, observed, resolved, context);
        facts.push(found.facts);
        if (!found.factors) continue;
        const factors = await block.fold(site, found.factors);
        for (const { point } of site.linears) divided.set(point, factors);
      }
      if (!resolved.clip) return facts;
      for (const layer of block.linears) {
        throwIfAborted(signal);
        const clipped = await clipLayer(layer, block, observed.samples.get(layer.point), divided.get(layer.point), resolved, backend);
        if (clipped) facts.push(clipped);
      }
      return facts;
    },
  });
}
