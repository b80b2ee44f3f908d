import {
  type Backend,
  type BufferHandle,
  type QuantizerContext,
  type ScalingSite,
  schemeGroupSize,
  type TransformBlock,
  type TransformFacts,
  type TransformLinear,
  throwIfAborted,
} from '@calibrant/core';
import { inspect } from './inspect.js';
import type { Observed } from './observe-block.js';
import type { ResolvedAwqOptions } from './options.js';
import { relativeMagnitudes } from './relative-magnitudes.js';
import { scalingFactors } from './scaling-factors.js';

/** Where the block types of GGUF have no groups of their own to go by. */
const BLOCK_GROUP = 32;

/** What was found at a site; without factors nothing was better than none. */
export interface ScaledSite {
  readonly facts: TransformFacts;
  readonly factors?: Float32Array;
}

/** Searches the factors of a site (arXiv 2306.00978, section 3.2): every exponent, with duo scaling or without, and no scaling at all. */
export async function searchScale(
  site: ScalingSite,
  block: TransformBlock,
  { means, samples }: Observed,
  options: ResolvedAwqOptions,
  context: QuantizerContext,
): Promise<ScaledSite> {
  const { backend, signal } = context;
  const activations = means.get(site.point);
  const sampled = (samples.get(site.point) ?? []).filter(({ shape }) => shape[0] > 0);
  if (!activations || sampled.length === 0) return { facts: { at: site.name, facts: { ratio: 'none', tokens: 0 } } };
  const inspection = await inspect(site, block, sampled, context);
  const weights = options.duoScaling === false ? undefined : await meanMagnitudes(site, block, backend);
  const plain = await inspection.loss();
  let best: { loss: number; ratio: number | 'none'; duo: boolean; factors?: Float32Array } = { loss: plain, ratio: 'none', duo: false };
  for (let i = 0; i < options.ratios; i++)
    for (const duo of options.duoScaling === 'both' ? [true, false] : [options.duoScaling]) {
      throwIfAborted(signal);
      const ratio = i / options.ratios;
      if (!duo && ratio === 0) continue; // no scaling, measured above
      const factors = scalingFactors(activations, duo ? weights : undefined, ratio, site.predecessor.rows);
      const loss = await inspection.loss(factors);
      if (loss < best.loss) best = { loss, ratio, duo, factors };
    }
  const { loss, ratio, duo, factors } = best;
  const facts = { at: site.name, facts: { ratio, ...(ratio === 'none' ? {} : { duo }), loss, lossUnscaled: plain } };
  return factors ? { facts, factors } : { facts };
}

/** The mean over all rows of the layers of `|w|` relative to the largest of its group. */
async function meanMagnitudes(site: ScalingSite, { weights }: TransformBlock, backend: Backend): Promise<Float64Array> {
  const sums = new Float64Array(site.channels);
  let rows = 0;
  for (const layer of site.linears) {
    if (!layer.scheme) continue;
    const result = backend.run(relativeMagnitudes, { w: weights.get(layer.weight) as BufferHandle }, { groupSize: groupSizeOf(layer) });
    const { data } = await backend.download(result.sums);
    backend.free(result.sums);
    for (let c = 0; c < sums.length; c++) sums[c] += data[c] as number;
    rows += layer.shape[0];
  }
  return sums.map((sum) => sum / Math.max(1, rows));
}

function groupSizeOf({ scheme, shape }: TransformLinear): number {
  if (scheme?.kind === 'affine') return Math.max(1, schemeGroupSize(scheme, shape[1]));
  return scheme?.kind === 'block' ? (scheme.grid?.groupSize ?? BLOCK_GROUP) : shape[1];
}
