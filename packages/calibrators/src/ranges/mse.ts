import {
  type Calibrator,
  defineCalibrator,
  type FitAttributes,
  type GridForm,
  gridOfRange,
  roundHalfEven,
  type ValueRange,
} from '@calibrant/core';
import { z } from 'zod';
import { E4M3_MAX, roundToE4m3 } from './e4m3.js';
import { observedRange } from './min-max.js';
import { forGrid, rangeKernel, wholeRange } from './range-kernel.js';

const schema = z.strictObject({
  maxShrink: z.number().min(0).lt(1).default(0.8).describe('part of the whole range by which it shrinks at most'),
  grid: z.number().int().min(1).max(10000).default(100).describe('steps from the whole range to 0; maxShrink of them are tried'),
  norm: z.number().min(0.5).max(8).default(2.4).describe('exponent of the errors: 2 for the mean squared error'),
});

export type MseOptions = z.output<typeof schema>;
type MseAttributes = FitAttributes & MseOptions;

/** The parts of the whole range that are tried, as f32. */
export function shrinks({ maxShrink, grid }: Pick<MseOptions, 'maxShrink' | 'grid'>): Float32Array {
  return Float32Array.from({ length: Math.max(1, Math.floor(maxShrink * grid)) }, (_, i) => 1 - i / grid);
}

/** Of the shrunk ranges that whose error is least, the widest where several are. */
function bestShrink(whole: ValueRange, options: MseOptions, error: (range: ValueRange) => number): ValueRange {
  let [best, least] = [whole, Infinity];
  for (const part of shrinks(options)) {
    const range = { low: Math.fround(whole.low * part), high: Math.fround(whole.high * part) };
    const found = error(range);
    if (found < least) [best, least] = [range, found];
  }
  return best;
}

/** `Σ |q(x) − x|^norm` over values with counts, q the nearest value of the grid that spans the range. In f64, codes and values of the grid in f32. */
function clippingError(
  values: ArrayLike<number>,
  counts: ArrayLike<number> | undefined,
  { low, high }: ValueRange,
  { type, bits, symmetric, norm }: GridForm & Pick<MseAttributes, 'norm'>,
): number {
  if (type === 'float') {
    const rounded = roundToE4m3(values, Math.fround(Math.max(-low, high) / E4M3_MAX));
    return rounded.reduce((sum, value, i) => sum + Math.abs(value - values[i]) ** norm * (counts ? counts[i] : 1), 0);
  }
  const [scale, zeroPoint] = gridOfRange(low, high, bits, symmetric);
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const code = Math.min(2 ** bits - 1, Math.max(0, roundHalfEven(Math.fround(values[i] / scale)) + zeroPoint));
    sum += Math.abs(Math.fround(scale * (code - zeroPoint)) - values[i]) ** norm * (counts ? counts[i] : 1);
  }
  return sum;
}

/** The best range of each group. The fast variant sums errors in f32 over runs of 64 values: of ranges whose errors differ by less than 1e-5 it may take either. */
export const mseRanges = rangeKernel<MseAttributes>('mseRanges', {
  range(values, attributes) {
    const whole = forGrid(wholeRange(values), attributes.symmetric);
    return bestShrink(whole, attributes, (range) => clippingError(values, undefined, range, attributes));
  },
  scalars: ({ bits, symmetric, maxShrink, grid, norm }) => [bits, Number(symmetric), shrinks({ maxShrink, grid }).length, grid, norm],
  chunkRows: 16,
});

/**
 * `mse`: of ranges shrunk step by step that with the least `Σ |q(x) − x|^norm`, the search of GPTQ's quantizer (Frantar et al., arXiv 2210.17323,
 * reference code: maxshrink 0.8, grid 100, norm 2.4). Exact for values at hand; values that streamed by count as the middle of their bin.
 */
export function mse(): Calibrator<MseOptions> {
  return defineCalibrator<MseOptions>({
    name: 'mse',
    meta: {
      description: 'Shrinks the range to where the error of rounding and clipping together is least',
      source: 'https://arxiv.org/abs/2210.17323',
      package: '@calibrant/calibrators',
    },
    options: schema,
    ranges: (backend, w, grid, options) => backend.run(mseRanges, { w }, { ...grid, ...options }),
    range(statistics, grid, options) {
      const { counts, exponent } = statistics.histogram;
      const filled = [...counts.keys()].filter((bin) => counts[bin] > 0);
      const middles = filled.map((bin) => (bin + 0.5 - counts.length / 2) * 2 ** exponent);
      const found = filled.map((bin) => counts[bin]);
      const whole = forGrid(observedRange(statistics), grid.symmetric);
      return bestShrink(whole, options, (range) => clippingError(middles, found, range, { ...grid, ...options }));
    },
  });
}
