import { type Calibrator, defineCalibrator, type FitAttributes, type GridForm, type ValueRange } from '@calibrant/core';
import { z } from 'zod';
import { E4M3_LEVELS, e4m3RunEnd } from './e4m3.js';
import { magnitudes, trimmed } from './histogram.js';
import { observedRange } from './min-max.js';
import { forGrid, rangeKernel, wholeRange } from './range-kernel.js';

/** Bins of the histogram of values at hand. */
export const BINS = 2048;

const schema = z.strictObject({
  startBin: z.number().int().min(1).max(BINS).default(128).describe('bins that the narrowest range tried holds, of 2048'),
});

export type EntropyOptions = z.output<typeof schema>;
type EntropyAttributes = FitAttributes & EntropyOptions;

/**
 * The number of bins, at least `startBin`, that a range should hold, by the search of Migacz, "8-bit inference with TensorRT" (GTC 2017): for each i, P is the histogram of magnitudes with all
 * beyond bin i counted into bin i − 1, Q the first i bins averaged over `levels` runs of bins (over those that hold anything, bin k in run ⌊k · levels / i⌋), both made
 * to sum to 1; the i whose KL divergence of Q from P is least wins, the smallest of several. Unlike on the slides, i may be all bins, which clips nothing.
 *
 * P and Q agree but for a factor on runs, so that with sums over prefixes each i takes `levels` steps.
 *
 * @param runEnd where the run of a level ends among i bins; runs of one width unless told
 */
export function entropySearch(
  counts: ArrayLike<number>,
  levels: number,
  startBin: number,
  runEnd: (level: number, i: number) => number = (level, i) => Math.ceil(((level + 1) * i) / levels),
): number {
  const bins = counts.length;
  const sum = new Float64Array(bins + 1);
  const filled = new Float64Array(bins + 1);
  const logs = new Float64Array(bins + 1); // Σ c log c
  for (let k = 0; k < bins; k++) {
    const count = counts[k];
    sum[k + 1] = sum[k] + count;
    filled[k + 1] = filled[k] + (count > 0 ? 1 : 0);
    logs[k + 1] = logs[k] + (count > 0 ? count * Math.log(count) : 0);
  }
  const total = sum[bins];
  let [best, least] = [bins, Infinity];
  for (let i = Math.min(startBin, bins); i <= bins; i++) {
    const inside = sum[i];
    const outliers = total - inside;
    const last = counts[i - 1];
    // Infinite where Q is 0 and P is not.
    if (inside === 0 || (outliers > 0 && last === 0)) continue;
    const lastWithOutliers = last + outliers;
    const entropy = outliers > 0 ? logs[i - 1] + lastWithOutliers * Math.log(lastWithOutliers) : logs[i];
    let cross = 0;
    let lastRun = 0;
    for (let level = 0, from = 0; level < levels; level++) {
      const to = runEnd(level, i);
      const part = sum[to] - sum[from];
      if (part > 0) {
        lastRun = Math.log(part) - Math.log(filled[to] - filled[from]);
        cross += part * lastRun;
      }
      from = to;
    }
    const divergence = (entropy - cross - outliers * lastRun) / total + Math.log(inside / total);
    if (divergence < least) [best, least] = [i, divergence];
  }
  return best;
}

/** Levels of a grid on one side of 0: all of them where no value is negative, or none positive, and the grid may follow. */
function levelsFor({ low, high }: ValueRange, { bits, symmetric }: GridForm): number {
  return 2 ** (!symmetric && (low === 0 || high === 0) ? bits : bits - 1);
}

/** Middle of the last bin inside, as on the slides; no further than the values. */
function clip(whole: ValueRange, bins: number, width: number): ValueRange {
  const threshold = (bins + 0.5) * width;
  return { low: Math.max(whole.low, -threshold), high: Math.min(whole.high, threshold) };
}

/** The search on each group, with 2048 bins up to its greatest magnitude. */
export const entropyRanges = rangeKernel<EntropyAttributes>('entropyRanges', {
  range(values, attributes) {
    const whole = wholeRange(values);
    const most = Math.max(-whole.low, whole.high);
    const perUnit = Math.fround(BINS / most);
    if (!Number.isFinite(perUnit)) return forGrid(whole, attributes.symmetric);
    const counts = new Float64Array(BINS);
    for (const value of values) counts[Math.min(BINS - 1, Math.floor(Math.fround(Math.abs(value) * perUnit)))]++;
    const bins = entropySearch(counts, levelsFor(whole, attributes), attributes.startBin);
    return bins === BINS ? forGrid(whole, attributes.symmetric) : forGrid(clip(whole, bins, most / BINS), attributes.symmetric);
  },
  scalars: ({ bits, symmetric, startBin }) => [bits, Number(symmetric), startBin],
  chunkRows: 16,
});

/**
 * `entropy`: the range on which the rounded values tell most about the values, by the KL divergence of their histograms (Migacz, "8-bit inference with TensorRT", GTC 2017). Made for
 * activations, of which there are many more than bins; on small groups of weights there is little to choose by, and it clips little. For static E4M3 grids the runs are the cells of its values.
 */
export function entropy(): Calibrator<EntropyOptions> {
  return defineCalibrator<EntropyOptions>({
    name: 'entropy',
    aliases: ['kl'],
    meta: {
      description: 'Range of least KL divergence between values and rounded values, as in TensorRT',
      source: 'https://on-demand.gputechconf.com/gtc/2017/presentation/s7310-8-bit-inference-with-tensorrt.pdf',
      package: '@calibrant/calibrators',
    },
    options: schema,
    ranges: (backend, w, grid, options) => backend.run(entropyRanges, { w }, { ...grid, ...options }),
    range(statistics, grid, { startBin }) {
      const whole = observedRange(statistics);
      const counts = trimmed(magnitudes(statistics.histogram));
      if (counts.length === 0) return forGrid(whole, grid.symmetric);
      const bins =
        grid.type === 'float'
          ? entropySearch(counts, E4M3_LEVELS, startBin, e4m3RunEnd)
          : entropySearch(counts, levelsFor(whole, grid), startBin);
      return forGrid(bins === counts.length ? whole : clip(whole, bins, 2 ** statistics.histogram.exponent), grid.symmetric);
    },
  });
}
