import type { GridForm, ValueHistogram, ValueRange, ValueStatistics } from '@calibrant/core';

/** Bins of a drawing. */
const BARS = 160;

/** Steps of a grid: values are `step · k`, k whole, from `low` to `high`. */
export interface Level extends ValueRange {
  readonly step: number;
}

/** The grid of integers that spans a range; a symmetric one has a step for 2^(bits−1) − 1 codes on each side of 0. */
export function levelOf({ bits, symmetric }: GridForm, { low, high }: ValueRange): Level {
  if (!symmetric) return { step: (high - low) / (2 ** bits - 1), low, high };
  const most = Math.max(-low, high);
  return { step: most / (2 ** (bits - 1) - 1), low: -most, high: most };
}

/**
 * What a grid makes of values: the shares of their energy Σ x² that become noise because values are clipped and because they are rounded. Each value is taken in the middle of its
 * bin; where bins are no finer than the steps, rounding errors are taken as even, step² / 12.
 */
export function lossOf({ exponent, counts }: ValueHistogram, { step, low, high }: Level): { clipping: number; rounding: number } {
  const width = 2 ** exponent;
  const fine = width < step / 4;
  let [energy, clipping, rounding] = [0, 0, 0];
  for (const [bin, count] of counts.entries()) {
    if (count === 0) continue;
    const value = (bin + 0.5 - counts.length / 2) * width;
    energy += count * value * value;
    if (value < low || value > high) clipping += count * (value - (value < low ? low : high)) ** 2;
    else if (step > 0) rounding += count * (fine ? (value - step * Math.round(value / step)) ** 2 : (step * step) / 12);
  }
  return energy > 0 ? { clipping: clipping / energy, rounding: rounding / energy } : { clipping: 0, rounding: 0 };
}

/** From the least to the greatest value, 0 included. */
export function observed({ sequenceLows, sequenceHighs }: ValueStatistics): ValueRange {
  return {
    low: sequenceLows.reduce((least, value) => Math.min(least, value), 0),
    high: sequenceHighs.reduce((most, value) => Math.max(most, value), 0),
  };
}

/** Whole bins joined to at most so many as a drawing has bars, from the first to the last that holds anything. */
export function coarser({ exponent, counts }: ValueHistogram): { edges: number[]; counts: number[] } {
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  if (first < 0) return { edges: [], counts: [] };
  const half = counts.length / 2;
  let joined = 1;
  while (Math.floor((last - half) / joined) - Math.floor((first - half) / joined) >= BARS) joined *= 2;
  const from = Math.floor((first - half) / joined);
  const bars = Array.from({ length: Math.floor((last - half) / joined) - from + 1 }, () => 0);
  for (let bin = first; bin <= last; bin++) bars[Math.floor((bin - half) / joined) - from] += counts[bin];
  return { edges: Array.from({ length: bars.length + 1 }, (_, i) => (from + i) * joined * 2 ** exponent), counts: bars };
}
