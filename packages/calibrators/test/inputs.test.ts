import { createCpuBackend } from '@calibrant/backend-cpu';
import {
  calibrators,
  createInputCollector,
  emptyStatistics,
  type InputStatistics,
  mergeStatistics,
  statisticsFromTensors,
  statisticsTensors,
} from '@calibrant/calibrators';
import {
  type BoundCalibrator,
  bindCalibrator,
  createReferenceBackend,
  createRegistry,
  createRng,
  decodeOne,
  type Tensor,
  tensor,
} from '@calibrant/core';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { inputStatistics } from '../src/inputs/kernel.js';

const registry = createRegistry([calibrators()]);
const bind = (name: string, options = {}): BoundCalibrator => bindCalibrator(registry, { name, options });
const matrix = (channels: number, values: readonly number[]) =>
  tensor('f32', [values.length / channels, channels], Float32Array.from(values));

async function observe(sequences: readonly Tensor[], channels: number): Promise<InputStatistics> {
  const backend = createReferenceBackend();
  const collector = createInputCollector(backend, new Map([['x', channels]]));
  for (const sequence of sequences) {
    const handle = await backend.upload(sequence, { lane: 0 });
    collector.observe('x', handle);
    await collector.settle();
    backend.free(handle);
  }
  const found = (await collector.finish()).get('x')!;
  expect(backend.allocatedBytes()).toBe(0);
  return found;
}

/** Sequences of whole numbers times a power of two: sums are exact, so that merging can be compared bit by bit. */
const sequencesOf = (channels: number) =>
  fc
    .array(
      fc.record({
        power: fc.integer({ min: -5, max: 5 }),
        values: fc.array(fc.integer({ min: -9999, max: 9999 }), { minLength: 0, maxLength: 12 }),
      }),
      { maxLength: 4 },
    )
    .map((all) =>
      all.map(({ power, values }) =>
        matrix(
          channels,
          values.slice(0, values.length - (values.length % channels)).map((value) => value * 2 ** power),
        ),
      ),
    );

describe('statistics of inputs', () => {
  it('in WebAssembly are those of the plain reference, bit for bit, whatever the values', () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (values, channels) => {
        const x = matrix(channels, values.slice(0, values.length - (values.length % channels)));
        expect(runWasm(inputStatistics, { x }, {})).toEqual(inputStatistics.reference({ x }, {}, { start: 0, end: 0 }));
      }),
    );
  });

  it('merged are those of the sequences one after the other', async () => {
    await fc.assert(
      fc.asyncProperty(sequencesOf(3), sequencesOf(3), async (a, b) => {
        expect(mergeStatistics(await observe(a, 3), await observe(b, 3))).toEqual(await observe([...a, ...b], 3));
      }),
      { numRuns: 25 },
    );
  });

  it('merging has a neutral element, and refuses other sizes', async () => {
    const found = await observe([matrix(2, [1, -2, 3, 0.5])], 2);
    expect(mergeStatistics(emptyStatistics(2), found)).toEqual(found);
    expect(mergeStatistics(found, emptyStatistics(2))).toEqual(found);
    expect(() => mergeStatistics(found, emptyStatistics(3))).toThrow(/2 and of 3 input channels/);
  });

  it('count every value in the bin where it lies, also after the range has grown', async () => {
    const sequences = [matrix(1, [0.001, -0.002, 0]), matrix(1, [1000, -3])];
    const { histogram } = await observe(sequences, 1);
    expect(histogram.exponent).toBe(-1); // ⌊log2 1000⌋ − 10
    const expected = new Float64Array(4096);
    for (const value of [0.001, -0.002, 0, 1000, -3].map(Math.fround)) expected[Math.floor(value * 2) + 2048]++;
    expect(histogram.counts).toEqual(expected);
  });

  it('survive files', async () => {
    const found = await observe([matrix(2, [1, -2, 3, 0.5]), matrix(2, [7, 7])], 2);
    const json = JSON.parse(
      JSON.stringify(Object.entries(statisticsTensors(found)).map(([name, { dtype, shape, data }]) => [name, dtype, shape, [...data]])),
    );
    const back = Object.fromEntries(
      (json as [string, 'f32' | 'f64' | 'i32', number[], number[]][]).map(([name, dtype, shape, data]) => [
        name,
        tensor(dtype, shape, dtype === 'f32' ? Float32Array.from(data) : dtype === 'f64' ? Float64Array.from(data) : Int32Array.from(data)),
      ]),
    );
    expect(statisticsFromTensors(back, 'file')).toEqual(found);
    expect(() => statisticsFromTensors({ ...back, histogram: undefined }, 'file')).toThrow(/file has no well-formed "histogram"/);
    expect(() => statisticsFromTensors({ ...back, square_sum: tensor('f64', [2], Float64Array.of(1, NaN)) }, 'file')).toThrow(/square_sum/);
  });

  it('are the same on any number of lanes, and name the layer that NaN reaches', async () => {
    const random = createRng(3);
    const sequences = Array.from({ length: 9 }, () =>
      tensor(
        'f32',
        [50, 8],
        Float32Array.from({ length: 400 }, () => random.normal()),
      ),
    );
    const on = async (threads: number) => {
      const backend = createCpuBackend({ threads });
      const collector = createInputCollector(backend, new Map([['x', 8]]));
      for (const [i, sequence] of sequences.entries()) {
        const handle = await backend.upload(sequence, { lane: i % threads });
        collector.observe('x', handle);
        backend.free(handle);
      }
      const found = (await collector.finish()).get('x')!;
      await backend.close();
      return found;
    };
    expect(await on(2)).toEqual(await on(1));
    await expect(observe([matrix(2, [1, NaN])], 2)).rejects.toMatchObject({
      code: 'NON_FINITE',
      message: expect.stringMatching(/1 of the 2 values that reach x/),
    });
  });
});

describe('static ranges', () => {
  const form = { bits: 8, symmetric: false };
  const normal = (seed: number, scale = 1) => {
    const random = createRng(seed);
    return matrix(
      1,
      Array.from({ length: 20000 }, () => scale * random.normal()),
    );
  };

  it('minmax and moving-average: closed forms of the sequences’ ranges', async () => {
    const found = await observe([matrix(1, [-1, 2]), matrix(1, [-3, 1]), matrix(1, [5, 6])], 1);
    expect(bind('minmax').range(found, form)).toEqual({ low: -3, high: 6 });
    expect(bind('minmax').range(found, { ...form, symmetric: true })).toEqual({ low: -6, high: 6 });
    const { low, high } = bind('moving-average', { averagingConstant: 0.5 }).range(found, form);
    expect([low, high]).toEqual([-1, 3.75]); // ((−1 − 3) / 2 + 0) / 2; ((2 + 1) / 2 + 6) / 2
  });

  it('percentile: the quantiles of known distributions within a bin', async () => {
    const found = await observe([normal(1)], 1);
    const { low, high } = bind('percentile', { percentile: 99 }).range(found, form);
    // 0.5 % at each end of a normal distribution: ±2.5758, for 20000 draws within 0.1.
    expect(Math.abs(high - 2.5758)).toBeLessThan(0.1);
    expect(Math.abs(low + 2.5758)).toBeLessThan(0.1);
    const even = await observe(
      [
        matrix(
          1,
          Array.from({ length: 10000 }, (_, i) => (i + 0.5) / 10000),
        ),
      ],
      1,
    );
    expect(bind('percentile', { percentile: 90 }).range(even, { bits: 8, symmetric: true }).high).toBeCloseTo(0.9, 3);
    expect(bind('percentile', { percentile: 100 }).range(even, form).high).toBe(Math.fround(0.99995));
  });

  it('entropy and percentile clip a far value, and mse is near the best range for a normal distribution', async () => {
    const far = await observe([normal(2, 0.1), matrix(1, [50])], 1);
    expect(bind('percentile').range(far, form).high).toBeLessThan(10);
    // The published search needs a filled bin at the end of a range: values of all sizes have them.
    const heavy = await observe([{ ...normal(3), data: (normal(3).data as Float32Array).map((value) => value ** 5) }], 1);
    expect(bind('entropy').range(heavy, form).high).toBeLessThan(0.7 * bind('minmax').range(heavy, form).high);
    // Optimal clipping of a Gaussian at 4 bits for the mean squared error: 2.5 to 2.6 σ (Banner et al., arXiv 1810.05723, table 1: 2.55).
    const gaussian = await observe([normal(4)], 1);
    const { high } = bind('mse', { norm: 2 }).range(gaussian, { bits: 4, symmetric: true });
    expect(Math.abs(high - 2.55)).toBeLessThan(0.2);
  });

  it('mse for E4M3 is the best of all shrunk ranges, by an oracle that tries every value of the type', async () => {
    const heavy = await observe([{ ...normal(3), data: (normal(3).data as Float32Array).map((value) => value ** 3) }], 1);
    const { exponent, counts } = heavy.histogram;
    const values = Array.from({ length: 256 }, (_, pattern) => decodeOne('f8_e4m3', pattern)).filter(Number.isFinite);
    const most = bind('minmax').range(heavy, { bits: 8, symmetric: true }).high;
    const errors = Array.from({ length: 40 }, (_, step) => {
      const scale = Math.fround((most * (1 - step / 50)) / 448);
      let sum = 0;
      for (const [bin, count] of counts.entries()) {
        if (count === 0) continue;
        const x = (bin + 0.5 - 2048) * 2 ** exponent;
        sum += count * Math.min(...values.map((value) => Math.abs(value * scale - x))) ** 2;
      }
      return sum;
    });
    const best = errors.indexOf(Math.min(...errors));
    const range = bind('mse', { norm: 2, grid: 50 }).range(heavy, { type: 'float', bits: 8, symmetric: true });
    expect(range.high).toBeCloseTo(most * (1 - best / 50), 3);
  });

  it('of zeros and of constants are usable grids', async () => {
    for (const name of ['minmax', 'moving-average', 'percentile', 'mse', 'entropy']) {
      const zeros = await observe([matrix(2, [0, 0, 0, 0])], 2);
      expect(bind(name).range(zeros, form)).toEqual({ low: 0, high: 0 });
      const constant = await observe([matrix(2, [3, 3, 3, 3])], 2);
      const { low, high } = bind(name).range(constant, form);
      expect(low).toBe(0);
      expect(high).toBeGreaterThan(2.9);
      expect(high).toBeLessThanOrEqual(3);
      expect(bind(name).range(emptyStatistics(2), form)).toEqual({ low: 0, high: 0 });
    }
  });
});
