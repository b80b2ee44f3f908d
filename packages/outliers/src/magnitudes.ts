import { MAGNITUDES, magnitudeOf } from './kernels/magnitude-counts.js';
import type { MagnitudeHistogram } from './report-types.js';

const EDGES = Float64Array.from({ length: MAGNITUDES + 1 }, (_, bin) => (bin < MAGNITUDES ? magnitudeOf(bin) : Infinity));

/** The magnitude below which a share of the counted values lies, interpolated within bins of bf16's width: relative error below 2^-7. */
export function magnitudeQuantile(counts: Float64Array, share: number): number {
  const wanted = share * counts.reduce((sum, count) => sum + count, 0);
  let before = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    if (counts[bin] > 0 && before + counts[bin] >= wanted) {
      // Zeros, and what is next to nothing.
      if (bin === 0) return 0;
      const part = (wanted - before) / counts[bin];
      return EDGES[bin] + part * (Number.isFinite(EDGES[bin + 1]) ? EDGES[bin + 1] - EDGES[bin] : 0);
    }
    before += counts[bin];
  }
  return 0;
}

/** Bits of the mantissa that make the bins of a histogram: four to an octave. */
const SHIFT = 5;

/** Counts in four bins an octave, from the first that holds something to the last. Zeros and what is smaller than 2^-126 are counted apart. */
export function magnitudeHistogram(counts: Float64Array): MagnitudeHistogram {
  const coarse = new Float64Array(MAGNITUDES >> SHIFT);
  for (let bin = 0; bin < counts.length; bin++) coarse[bin >> SHIFT] += counts[bin];
  const smallest = coarse.slice(0, 4).reduce((sum, count) => sum + count, 0);
  const first = coarse.findIndex((count, bin) => bin >= 4 && count > 0);
  if (first < 0) return { zeros: smallest, edges: [], counts: [] };
  const last = coarse.findLastIndex((count) => count > 0);
  const kept = [...coarse.subarray(first, last + 1)];
  return { zeros: smallest, edges: Array.from({ length: kept.length + 1 }, (_, i) => EDGES[(first + i) << SHIFT]), counts: kept };
}
