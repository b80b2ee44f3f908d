import { type Calibrator, defineCalibrator, type FitAttributes, type ValueRange } from '@calibrant/core';
import { z } from 'zod';
import { magnitudes, quantileOf } from './histogram.js';
import { observedRange } from './min-max.js';
import { forGrid, rangeKernel } from './range-kernel.js';

const schema = z.strictObject({
  percentile: z
    .number()
    .gt(50)
    .max(100)
    .default(99.99)
    .describe('share of the values inside the range, in percent: 99.0 to 99.999 are usual'),
});

export type PercentileOptions = z.output<typeof schema>;

interface PercentileAttributes extends FitAttributes {
  readonly percentile: number;
}

/**
 * The quantile of sorted values at `share` in [0, 1], between two of them by linear interpolation: NumPy's default, type 7 of Hyndman and Fan (1996).
 */
function quantile(sorted: Float32Array, share: number): number {
  const rank = (sorted.length - 1) * share;
  const below = sorted[Math.floor(rank)];
  const above = sorted[Math.min(sorted.length - 1, Math.floor(rank) + 1)];
  return below + (above - below) * (rank - Math.floor(rank));
}

/** Exact quantiles of each group: of the magnitudes for symmetric grids, else at both ends, each cutting half of the rest. */
export const percentileRanges = rangeKernel<PercentileAttributes>('percentileRanges', {
  range(values, { percentile, symmetric }) {
    if (symmetric) {
      const high = quantile(values.map(Math.abs).sort(), percentile / 100);
      return { low: -high, high };
    }
    const inside = 1 - (1 - percentile / 100) / 2;
    const low = 0 - quantile(values.map((value) => 0 - value).sort(), inside);
    return { low: Math.min(0, low), high: Math.max(0, quantile(values.slice().sort(), inside)) };
  },
  scalars: ({ symmetric, percentile }) => [Number(symmetric), percentile],
  chunkRows: 64,
});

/**
 * `percentile`: a range that holds the given share of the values; the few beyond it are clipped (McKinstry et al., arXiv 1809.04191, section 3; Wu et al.,
 * arXiv 2004.09602, section 3.2). Symmetric grids cut the greatest magnitudes, asymmetric ones half of the rest at each end. Exact for values at hand,
 * by the histogram for values that streamed by.
 */
export function percentile(): Calibrator<PercentileOptions> {
  return defineCalibrator<PercentileOptions>({
    name: 'percentile',
    meta: {
      description: 'Range of a share of the values, 99.99 % unless told; the rest is clipped',
      source: 'https://arxiv.org/abs/2004.09602',
      package: '@calibrant/calibrators',
    },
    options: schema,
    ranges: (backend, w, grid, { percentile: share }) => backend.run(percentileRanges, { w }, { ...grid, percentile: share }),
    range(statistics, { symmetric }, { percentile: share }) {
      const whole = observedRange(statistics);
      return forGrid(within(whole, symmetric ? ofMagnitudes() : ofBothEnds()), symmetric);

      function ofMagnitudes(): ValueRange {
        const most = quantileOf(magnitudes(statistics.histogram), share / 100) * 2 ** statistics.histogram.exponent;
        return { low: -most, high: most };
      }
      function ofBothEnds(): ValueRange {
        const { counts, exponent } = statistics.histogram;
        const cut = (1 - share / 100) / 2;
        const at = (part: number) => (quantileOf(counts, part) - counts.length / 2) * 2 ** exponent;
        return { low: at(cut), high: at(1 - cut) };
      }
    },
  });
}

/** Bins end beyond the last value in them. */
function within(whole: ValueRange, { low, high }: ValueRange): ValueRange {
  return { low: Math.min(0, Math.max(low, whole.low)), high: Math.max(0, Math.min(high, whole.high)) };
}
