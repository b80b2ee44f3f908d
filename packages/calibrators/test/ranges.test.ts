import { createRng, decodeOne, gridOfRange, tensor } from '@calibrant/core';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { E4M3_LEVELS, e4m3RunEnd } from '../src/ranges/e4m3.js';
import { entropyRanges, entropySearch } from '../src/ranges/entropy.js';
import { minMaxRanges } from '../src/ranges/min-max.js';
import { mseRanges } from '../src/ranges/mse.js';
import { percentileRanges } from '../src/ranges/percentile.js';
import type { RangeKernel } from '../src/ranges/range-kernel.js';

const reference = <A extends { bits: number; groupSize: number; symmetric: boolean }>(
  kernel: RangeKernel<A>,
  w: ReturnType<typeof tensor>,
  attributes: A,
) => kernel.reference({ w }, attributes, { start: 0, end: w.shape[0] });

/** Rows of normal values with a few far ones, all negative or positive in some rows, and a constant and a zero row. */
function sample(columns: number, seed: number) {
  const random = createRng(seed);
  const rows = 6;
  const w = tensor('f32', [rows, columns]);
  for (let i = 0; i < rows * columns; i++) w.data[i] = random.normal() * (random.uniform() < 0.02 ? 12 : 1) * 0.02;
  for (let c = 0; c < columns; c++) {
    w.data[2 * columns + c] = Math.abs(w.data[2 * columns + c] as number);
    w.data[3 * columns + c] = -Math.abs(w.data[3 * columns + c] as number);
    w.data[4 * columns + c] = 0;
    w.data[5 * columns + c] = -0.25;
  }
  return w;
}

const form = fc.record({
  bits: fc.constantFrom(2, 3, 4, 4, 5, 8),
  symmetric: fc.boolean(),
  groupSize: fc.constantFrom(1, 7, 32, 100),
});
const data = fc.record({ columns: fc.integer({ min: 1, max: 130 }), seed: fc.integer({ min: 0, max: 1e6 }) });

describe('ranges in WebAssembly are those of the plain reference', () => {
  it('min-max and percentile, bit for bit', () => {
    fc.assert(
      fc.property(form, data, fc.constantFrom(60, 90, 99, 99.9, 99.999, 100), (attributes, { columns, seed }, percentile) => {
        const w = sample(columns, seed);
        expect(runWasm(minMaxRanges, { w }, attributes)).toEqual(reference(minMaxRanges, w, attributes));
        const all = { ...attributes, percentile };
        expect(runWasm(percentileRanges, { w }, all)).toEqual(reference(percentileRanges, w, all));
      }),
      { numRuns: 60 },
    );
  });

  it('percentile of long rows, where ranks are far from the end', () => {
    const w = sample(5000, 1);
    const attributes = { bits: 8, symmetric: false, groupSize: 5000, percentile: 99 };
    expect(runWasm(percentileRanges, { w }, attributes)).toEqual(reference(percentileRanges, w, attributes));
  });

  it('entropy', () => {
    fc.assert(
      fc.property(form, data, (attributes, { columns, seed }) => {
        const w = sample(columns, seed);
        const all = { ...attributes, startBin: 128 };
        expect(runWasm(entropyRanges, { w }, all)).toEqual(reference(entropyRanges, w, all));
      }),
      { numRuns: 5 },
    );
  });

  it('mse: the least error up to 1e-5 of it, exactly the reference’s choice where it is clear', () => {
    fc.assert(
      fc.property(form, data, fc.constantFrom(1, 2, 2.4, 3), (attributes, { columns, seed }, norm) => {
        const w = sample(columns, seed);
        const all = { ...attributes, norm, grid: 50, maxShrink: 0.8 };
        const [fast, plain] = [runWasm(mseRanges, { w }, all), reference(mseRanges, w, all)];
        const groups = plain.lows.shape[1];
        for (let at = 0; at < plain.lows.data.length; at++) {
          const [row, group] = [Math.floor(at / groups), at % groups];
          const from = row * columns + group * attributes.groupSize;
          const values = (w.data as Float32Array).subarray(from, Math.min(from + attributes.groupSize, (row + 1) * columns));
          const of = (side: typeof fast) =>
            bruteForceError(values, side.lows.data[at] as number, side.highs.data[at] as number, { ...attributes, norm });
          const best = of(plain);
          expect(of(fast)).toBeLessThanOrEqual(best * (1 + 1e-5) + 1e-30);
        }
      }),
      { numRuns: 15 },
    );
  });
});

/** Rounds by trying every code. */
function bruteForceError(
  values: Float32Array,
  low: number,
  high: number,
  { bits, symmetric, norm }: { bits: number; symmetric: boolean; norm: number },
): number {
  const [scale, zeroPoint] = gridOfRange(low, high, bits, symmetric);
  let sum = 0;
  for (const value of values) {
    let least = Infinity;
    for (let code = 0; code < 2 ** bits; code++) least = Math.min(least, Math.abs(Math.fround(scale * (code - zeroPoint)) - value));
    sum += least ** norm;
  }
  return sum;
}

describe('mse', () => {
  it('is the best of all shrunk ranges, by an oracle that tries every code', () => {
    const values = sample(64, 3).data.slice(0, 64) as Float32Array;
    values[5] = 0.3;
    let narrowest = 1;
    for (const symmetric of [true, false])
      for (const bits of [2, 3, 4]) {
        const attributes = { bits, symmetric, groupSize: 64, norm: 2, grid: 40, maxShrink: 0.9 };
        const { lows, highs } = reference(mseRanges, tensor('f32', [1, 64], values), attributes);
        let [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
        if (symmetric) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
        let [least, best] = [Infinity, 0];
        for (let i = 0; i < 36; i++) {
          const part = 1 - i / 40;
          const error = bruteForceError(values, Math.fround(low * Math.fround(part)), Math.fround(high * Math.fround(part)), attributes);
          if (error < least * (1 - 1e-9)) [least, best] = [error, part];
        }
        narrowest = Math.min(narrowest, best);
        expect(lows.data[0]).toBeCloseTo(low * best, 6);
        expect(highs.data[0]).toBeCloseTo(high * best, 6);
      }
    expect(narrowest).toBeLessThan(0.8); // the far value makes clipping worth it
  });
});

/** The search as the slides print it: distributions made anew for each i, then their KL divergence. */
function publishedSearch(
  histogram: readonly number[],
  levels: number,
  startBin: number,
  runOf = (k: number, i: number) => Math.floor((k * levels) / i),
): number {
  const normalized = (values: number[]) => {
    const sum = values.reduce((a, b) => a + b, 0);
    return values.map((value) => value / sum);
  };
  let [best, least] = [histogram.length, Infinity];
  for (let i = Math.min(startBin, histogram.length); i <= histogram.length; i++) {
    const p = histogram.slice(0, i);
    p[i - 1] += histogram.slice(i).reduce((a, b) => a + b, 0);
    const q = histogram.slice(0, i);
    const runs = Array.from({ length: levels }, (): number[] => []);
    for (const k of q.keys()) if (histogram[k] > 0) runs[runOf(k, i)].push(k);
    for (const members of runs) {
      const sum = members.reduce((total, k) => total + histogram[k], 0);
      for (const k of members) q[k] = sum / members.length;
    }
    if (q.every((value) => value === 0)) continue;
    const [pn, qn] = [normalized(p), normalized(q)];
    const divergence = pn.reduce((sum, value, k) => (value === 0 ? sum : sum + value * Math.log(value / qn[k])), 0);
    if (divergence < least - 1e-13) [best, least] = [i, divergence];
  }
  return best;
}

describe('entropy', () => {
  it('finds the bin that the published algorithm finds', () => {
    const random = createRng(11);
    for (const [bins, startBin, levels] of [
      [300, 128, 128],
      [256, 64, 32],
      [200, 32, 8],
    ]) {
      for (const tail of [0, 0.02, 0.3]) {
        const histogram = new Array<number>(bins).fill(0);
        for (let i = 0; i < 5000; i++) {
          const value = Math.abs(random.normal()) * (random.uniform() < tail ? 0.3 : 0.08);
          histogram[Math.min(bins - 1, Math.floor(value * bins))]++;
        }
        expect(entropySearch(histogram, levels, startBin)).toBe(publishedSearch(histogram, levels, startBin));
      }
    }
  });

  it('with runs that are the cells of E4M3 finds what the published algorithm finds with them', () => {
    const values = Array.from({ length: 127 }, (_, pattern) => decodeOne('f8_e4m3', pattern));
    const nearest = (k: number, i: number) =>
      values.findIndex((value, level) => level === 126 || (k * 448) / i < (value + values[level + 1]) / 2);
    const random = createRng(5);
    const chosen = [0.02, 0.2].map((tail) => {
      const histogram = new Array<number>(240).fill(0);
      for (let i = 0; i < 5000; i++) {
        const value = Math.abs(random.normal()) * (random.uniform() < tail ? 0.3 : 0.06);
        histogram[Math.min(239, Math.floor(value * 240))]++;
      }
      const found = entropySearch(histogram, E4M3_LEVELS, 32, e4m3RunEnd);
      expect(found).toBe(publishedSearch(histogram, 127, 32, nearest));
      return found;
    });
    // Cells that grow with the values make far values cheap: less is clipped than on an even grid.
    expect(Math.max(...chosen)).toBeGreaterThan(120);
  });

  it('clips a far value away and keeps an even distribution whole', () => {
    const far = Float32Array.from({ length: 4096 }, (_, i) => (i === 0 ? 10 : Math.sin(i) ** 3));
    const attributes = { bits: 8, symmetric: true, groupSize: 4096, startBin: 128 };
    const { highs } = reference(entropyRanges, tensor('f32', [1, 4096], far), attributes);
    expect(highs.data[0]).toBeLessThan(2);
    const even = Float32Array.from({ length: 4096 }, (_, i) => (i + 0.5) / 4096);
    expect(reference(entropyRanges, tensor('f32', [1, 4096], even), attributes).highs.data[0]).toBeGreaterThan(0.99);
  });
});
