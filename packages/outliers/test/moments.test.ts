import { createRng } from '@calibrant/core';
import {
  deviation,
  excessKurtosis,
  MAGNITUDES,
  type Moments,
  magnitudeHistogram,
  magnitudeOf,
  magnitudeQuantile,
  mergeMoments,
  momentsOfRows,
  rowStatistics,
} from '@calibrant/outliers';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

/** Moments by their definition. */
function direct(values: readonly number[]): Moments {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const power = (p: number) => values.reduce((sum, value) => sum + (value - mean) ** p, 0);
  return { count, mean, m2: power(2), m3: power(3), m4: power(4) };
}

function expectClose(a: Moments, b: Moments, size: number): void {
  expect(a.count).toBe(b.count);
  expect(Math.abs(a.mean - b.mean)).toBeLessThanOrEqual(1e-12 * size);
  for (const [i, key] of (['m2', 'm3', 'm4'] as const).entries())
    expect(Math.abs(a[key] - b[key])).toBeLessThanOrEqual(1e-10 * b.count * size ** (i + 2));
}

describe('moments', () => {
  it('of two parts are those of the whole, for any values', () => {
    const values = fc.array(fc.double({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(values, values, (a, b) => {
        const size = Math.max(1, ...[...a, ...b].map(Math.abs));
        expectClose(mergeMoments(direct(a), direct(b)), direct([...a, ...b]), size);
      }),
    );
  });

  it('of rows are those of all their values', () => {
    const random = createRng(3);
    const data = Float32Array.from({ length: 12 * 31 }, () => 5 + random.normal() ** 3);
    const x = { dtype: 'f32', shape: [12, 31], data } as const;
    const { moments } = rowStatistics.reference({ x }, {}, { start: 0, end: 12 });
    expectClose(momentsOfRows(moments.data as Float64Array, 31), direct([...data]), 100);
  });

  it('have the kurtosis that distributions are known for', () => {
    const n = 2 ** 16;
    const uniform = Array.from({ length: n }, (_, i) => (i + 0.5) / n);
    expect(excessKurtosis(direct(uniform))).toBeCloseTo(-1.2, 6);
    expect(deviation(direct(uniform))).toBeCloseTo(1 / Math.sqrt(12), 6);
    expect(excessKurtosis(direct([-1, 1, -1, 1]))).toBe(-2);
    // One value a, n − 1 zeros: n − 1 + 1 / (n − 1) − 1 − 3 by hand.
    expect(excessKurtosis(direct([7, ...new Array(99).fill(0)]))).toBeCloseTo(99 + 1 / 99 - 1 - 3, 9);
    expect(excessKurtosis(direct([4, 4, 4]))).toBe(0);
  });
});

describe('magnitude counts', () => {
  const countsOf = (values: readonly number[]) => {
    const counts = new Float64Array(MAGNITUDES);
    for (const value of values) counts[(new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16) & 0x7fff]++;
    return counts;
  };

  it('give quantiles within a part in 128', () => {
    const random = createRng(8);
    const values = Array.from({ length: 9999 }, () => Math.abs(Math.fround(random.normal() * Math.exp(2 * random.normal()))));
    const sorted = [...values].sort((a, b) => a - b);
    for (const share of [0.01, 0.25, 0.5, 0.9, 0.999]) {
      const exact = sorted[Math.ceil(share * sorted.length) - 1];
      expect(Math.abs(magnitudeQuantile(countsOf(values), share) / exact - 1)).toBeLessThan(2 ** -7);
    }
    expect(magnitudeQuantile(countsOf([0, 0, 0, 5]), 0.5)).toBe(0);
    expect(magnitudeQuantile(countsOf([]), 0.5)).toBe(0);
  });

  it('give a histogram with four bins to an octave that loses nothing', () => {
    const { edges, counts, zeros } = magnitudeHistogram(countsOf([0, 1, 1.2, 1.25, 1.5, 1.75, 2, -3.9]));
    expect(edges).toEqual([1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4]);
    expect(counts).toEqual([2, 1, 1, 1, 1, 0, 0, 1]);
    expect(zeros).toBe(1);
    expect(magnitudeHistogram(countsOf([0, 0]))).toEqual({ zeros: 2, edges: [], counts: [] });
    expect(magnitudeOf(0)).toBe(0);
  });
});
