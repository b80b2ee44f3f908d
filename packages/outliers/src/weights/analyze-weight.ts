import type { Backend, RunOptions } from '@calibrant/core';
import { channelProfile, largestChannels, medianOf, rounded } from '../channel-profile.js';
import { deviation, excessKurtosis } from '../moments.js';
import type { ChannelSpread, GridUse, WeightOutliers } from '../report-types.js';
import type { Grid } from './code-counts.js';
import { firstPass } from './first-pass.js';
import { secondPass } from './second-pass.js';
import { type WeightSource, weightChunks } from './weight-source.js';

export interface WeightOptions extends RunOptions {
  /** Numbers of standard deviations beyond which weights are counted; 3, 4 and 6 if absent. */
  readonly sigmas?: readonly number[];
  /** Grids whose use of codes is measured; 4 bits per tensor, per channel and in groups of 128 if absent. */
  readonly grids?: readonly Grid[];
  /** Bins of the histogram; 100 if absent. */
  readonly bins?: number;
  /** Channels that are listed; 8 if absent. */
  readonly top?: number;
  /** Most points of a plot over channels; 512 if absent. */
  readonly points?: number;
  /** Largest weight (as f32) that stays on the backend between the two passes, in bytes; larger ones are read twice. 256 MiB if absent. */
  readonly keepBytes?: number;
  /** Bytes (as f32) that are looked at at a time; 16 MiB if absent. */
  readonly chunkBytes?: number;
}

const GRIDS: readonly Grid[] = [
  { bits: 4, granularity: 'tensor' },
  { bits: 4, granularity: 'channel' },
  { bits: 4, granularity: 128 },
];

/**
 * Looks for outliers in a weight: share beyond kσ, kurtosis, largest against median weight of each input and output channel, and what min-max grids make of it. Two passes by rows; moments are in f64,
 * counts and extremes are exact, medians of output channels too, those of input channels within 2.3 % of the channel's rms.
 *
 * @throws CalibrantError `NON_FINITE` for NaN or infinite weights.
 */
export async function analyzeWeight(backend: Backend, source: WeightSource, options: WeightOptions = {}): Promise<WeightOutliers> {
  const { sigmas = [3, 4, 6], grids = GRIDS, bins = 100, top = 8, points = 512, keepBytes = 2 ** 28, chunkBytes = 2 ** 24 } = options;
  const { name, place, shape } = source;
  const chunks = weightChunks(backend, source, { keepBytes, chunkBytes });
  try {
    const first = await firstPass(backend, source, chunks, options);
    const second = await secondPass(backend, chunks, first, { sigmas, bins, grids }, options);
    const { moments, min, max, outAbsMax, outMedian, inAbsMax } = first;
    return {
      name,
      place,
      shape,
      mean: moments.mean,
      deviation: deviation(moments),
      min,
      max,
      kurtosis: excessKurtosis(moments),
      beyond: sigmas.map((k, i) => ({ sigmas: k, share: second.beyond[i] / moments.count })),
      outputChannels: channelSpread(outAbsMax, outMedian, top, points),
      inputChannels: channelSpread(inAbsMax, second.inMedian, top, points),
      histogram: { low: min, high: max, counts: [...second.histogram] },
      grids: grids.map((grid, i) => gridUse(grid, second.codes[i])),
    };
  } finally {
    chunks.release();
  }
}

function channelSpread(absMax: Float32Array, medians: ArrayLike<number>, top: number, points: number): ChannelSpread {
  const ratios = Float64Array.from(absMax, (largest, c) => (medians[c] > 0 ? largest / medians[c] : 0));
  const known = ratios.filter((ratio) => ratio > 0);
  return {
    absMax: channelProfile(absMax, points),
    top: largestChannels(ratios, top).map((channel) => ({ channel, absMax: absMax[channel], ratio: rounded(ratios[channel]) })),
    largestRatio: known.reduce((largest, ratio) => Math.max(largest, ratio), 0),
    medianRatio: medianOf(known),
    sparse: absMax.reduce((count, largest, c) => count + (largest > 0 && !(medians[c] > 0) ? 1 : 0), 0),
  };
}

function gridUse({ bits, granularity }: Grid, counts: Float64Array): GridUse {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const used = counts.filter((count) => count > 0);
  const entropy = used.reduce((sum, count) => sum - (count / total) * Math.log2(count / total), 0);
  return { bits, granularity, codesUsed: used.length, entropy: Math.abs(entropy) };
}
