import { CalibrantError } from '@calibrant/core';
import { channelProfile, largestChannels, medianOf } from '../channel-profile.js';
import { magnitudeHistogram, magnitudeQuantile } from '../magnitudes.js';
import { excessKurtosis } from '../moments.js';
import type { ActivationFigures } from '../report-types.js';
import type { ActivationTotals } from './collector.js';

export interface FigureOptions {
  /** Channels that are listed. */
  readonly top: number;
  /** Most points of a plot over channels. */
  readonly points: number;
}

/** @throws CalibrantError `NON_FINITE` when NaN or infinite values were seen; `where` names the activation. */
export function activationFigures(totals: ActivationTotals, { top, points }: FigureOptions, where: string): ActivationFigures {
  const { tokens, width, absMax, sums, squares, above, magnitudes, moments, tokenKurtosis } = totals;
  if (!Number.isFinite(moments.mean) || absMax.some((value) => !Number.isFinite(value)))
    throw new CalibrantError(
      'NON_FINITE',
      `${where} holds NaN or infinite values. Run the model on its own first: its weights or the text may be broken.`,
    );
  const rms = squares.map((sum) => (tokens > 0 ? Math.sqrt(sum / tokens) : 0));
  const typical = medianOf(absMax);
  const largest = absMax.reduce((most, value) => Math.max(most, value), 0);
  return {
    tokens,
    width,
    absMax: largest,
    mean: moments.mean,
    rms: Math.sqrt(meanSquare(squares, tokens * width)),
    median: magnitudeQuantile(magnitudes, 0.5),
    kurtosis: excessKurtosis(moments),
    tokenKurtosis: tokens > 0 ? { mean: tokenKurtosis.sum / tokens, max: tokenKurtosis.max } : { mean: 0, max: 0 },
    channelRatio: typical > 0 ? largest / typical : 0,
    channelsAbove: above.filter((count) => count > 0).length,
    channels: { absMax: channelProfile(absMax, points), rms: channelProfile(rms, points) },
    top: largestChannels(absMax, top).map((channel) => ({
      channel,
      absMax: absMax[channel],
      mean: tokens > 0 ? sums[channel] / tokens : 0,
      rms: rms[channel],
      ratio: typical > 0 ? absMax[channel] / typical : 0,
      share: tokens > 0 ? above[channel] / tokens : 0,
    })),
    histogram: magnitudeHistogram(magnitudes),
  };
}

function meanSquare(squares: Float64Array, count: number): number {
  return count > 0 ? squares.reduce((sum, value) => sum + value, 0) / count : 0;
}
