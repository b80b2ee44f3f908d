import type { ChannelProfile } from './report-types.js';

/** Values per channel for a plot: all of them, or the largest of each run of neighbours where there are more than `limit`. */
export function channelProfile(values: ArrayLike<number>, limit: number): ChannelProfile {
  const width = values.length;
  const perPoint = Math.max(1, Math.ceil(width / limit));
  const points = Array.from({ length: Math.ceil(width / perPoint) }, (_, i) => {
    let largest = values[i * perPoint];
    for (let c = i * perPoint + 1; c < Math.min(width, (i + 1) * perPoint); c++) largest = Math.max(largest, values[c]);
    return rounded(largest);
  });
  return { width, perPoint, values: points };
}

/** The channels with the largest values, largest first; the first ones where values are equal. */
export function largestChannels(values: ArrayLike<number>, count: number): number[] {
  const order = Uint32Array.from({ length: values.length }, (_, c) => c);
  order.sort((a, b) => values[b] - values[a] || a - b);
  return [...order.subarray(0, count)];
}

/** The median, exact; of an even number the mean of the two middle values; 0 of none. */
export function medianOf(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half] + sorted[half - 1]) / 2;
}

/** Six significant digits: what a plot shows, in a third of the bytes. */
export function rounded(value: number): number {
  return Number(value.toPrecision(6));
}
