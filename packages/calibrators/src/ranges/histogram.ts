import type { ValueHistogram } from '@calibrant/core';

/** Counts of magnitudes: bin i holds those of `[i, i + 1)` bin widths, both signs together. */
export function magnitudes({ counts }: ValueHistogram): Float64Array {
  const half = counts.length / 2;
  return Float64Array.from({ length: half }, (_, i) => counts[half + i] + counts[half - 1 - i]);
}

/** Where `share` in [0, 1] of the counts lie below, in bins, as if values were spread evenly inside each bin. 0 without counts. */
export function quantileOf(counts: Float64Array, share: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return 0;
  const wanted = share * total;
  let below = 0;
  for (const [bin, count] of counts.entries()) {
    if (count > 0 && below + count >= wanted) return bin + Math.max(0, wanted - below) / count;
    below += count;
  }
  return counts.findLastIndex((count) => count > 0) + 1;
}

/** Counts without the empty bins at the upper end. */
export function trimmed(counts: Float64Array): Float64Array {
  return counts.subarray(0, counts.findLastIndex((count) => count > 0) + 1);
}
