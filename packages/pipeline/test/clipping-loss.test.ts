import type { ValueHistogram } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { coarser, levelOf, lossOf } from '../src/report/clipping-loss.js';

/** One value in each of the bins from −1 to 1, 2^-10 wide. */
const even: ValueHistogram = { exponent: -10, counts: new Float64Array(4096).fill(1, 1024, 3072) };

describe('what a grid makes of values', () => {
  it('evenly spread values lose step² / 12 of 1 / 3 by rounding, and nothing by clipping, on a grid that holds them', () => {
    const level = levelOf({ bits: 4, symmetric: true }, { low: -1, high: 1 });
    expect(level.step).toBeCloseTo(1 / 7, 12);
    const { clipping, rounding } = lossOf(even, level);
    expect(clipping).toBe(0);
    expect(rounding).toBeCloseTo(level.step ** 2 / 12 / (1 / 3), 5);
  });

  it('a range of half loses ∫(x − ½)² over ∫x², an eighth, by clipping', () => {
    expect(lossOf(even, levelOf({ bits: 8, symmetric: false }, { low: -0.5, high: 0.5 })).clipping).toBeCloseTo(1 / 8, 3);
  });

  it('steps finer than the bins are taken as even errors', () => {
    const { step, ...range } = levelOf({ bits: 8, symmetric: true }, { low: -1, high: 1 });
    expect(lossOf(even, { ...range, step: step / 64 }).rounding).toBeCloseTo((step / 64) ** 2 / 4, 12);
  });

  it('nothing is lost of nothing', () => {
    expect(lossOf({ exponent: 0, counts: new Float64Array(8) }, { step: 0, low: 0, high: 0 })).toEqual({ clipping: 0, rounding: 0 });
  });

  it('bars hold all values, from the first to the last, with edges that fit', () => {
    const { edges, counts } = coarser(even);
    expect(counts.length).toBeLessThanOrEqual(160);
    expect(edges).toHaveLength(counts.length + 1);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2048);
    expect([edges[0], edges.at(-1)]).toEqual([-1, 1]);
  });
});
