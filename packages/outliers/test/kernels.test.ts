import { createRng, type Kernel, type Tensor, tensor } from '@calibrant/core';
import {
  byteCounts,
  channelStatistics,
  columnBins,
  magnitudeCounts,
  magnitudeOf,
  rowMedians,
  rowPeaks,
  rowStatistics,
  scaleChannels,
  valueCounts,
} from '@calibrant/outliers';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const SHAPES = [
  [1, 1],
  [3, 5],
  [7, 8],
  [16, 35],
  [33, 129],
] as const;

/** Heavy-tailed values with zeros, equal ones and a few very large ones. */
function sample(rows: number, columns: number, seed = rows * columns): Tensor {
  const random = createRng(seed);
  const values = Float32Array.from({ length: rows * columns }, (_, i) => (i % 11 === 0 ? 0 : i % 13 === 1 ? 1.5 : random.normal() ** 3));
  values[values.length >> 1] = -900;
  return tensor('f32', [rows, columns], values);
}

function both<In extends string, Out extends string, A>(kernel: Kernel<In, Out, A>, inputs: Record<string, Tensor>, attributes: A) {
  const rows = Object.values(inputs)[0].shape[0];
  return [runWasm(kernel, inputs as never, attributes), kernel.reference(inputs as never, attributes, { start: 0, end: rows })] as const;
}

describe.each(SHAPES)('on [%i, %i]', (rows, columns) => {
  const x = sample(rows, columns);
  const vector = (size: number, value: (i: number) => number) =>
    tensor(
      'f32',
      [size],
      Float32Array.from({ length: size }, (_, i) => value(i)),
    );
  const factors = (size: number) =>
    tensor(
      'f64',
      [size],
      Float64Array.from({ length: size }, (_, i) => 1 / (i + 3)),
    );

  it.each<[string, Kernel<any, any, any>, Record<string, Tensor>, unknown]>([
    ['channelStatistics', channelStatistics, { x }, { threshold: 1.5 }],
    ['rowMedians', rowMedians, { x }, {}],
    ['rowPeaks', rowPeaks, { x }, {}],
    ['magnitudeCounts', magnitudeCounts, { x }, {}],
    ['valueCounts', valueCounts, { x, upper: vector(3, (i) => i), lower: vector(3, (i) => -i) }, { low: -2, perUnit: 7.3, bins: 29 }],
    ['columnBins', columnBins, { x, perUnit: vector(columns, (c) => 1 + c) }, { bins: 16 }],
    [
      'byteCounts',
      byteCounts,
      {
        codes: tensor(
          'u8',
          x.shape,
          Uint8Array.from(x.data as Float32Array, (v) => v * 40),
        ),
      },
      {},
    ],
    ['scaleChannels of both', scaleChannels, { x, rowFactors: factors(rows), columnFactors: factors(columns) }, { offset: 1 }],
    ['scaleChannels of rows', scaleChannels, { x, rowFactors: factors(rows) }, { offset: 0 }],
    ['scaleChannels of columns', scaleChannels, { x, columnFactors: factors(columns) }, { offset: 0 }],
  ])('%s in WebAssembly equals its reference to the last bit', (_, kernel, inputs, attributes) => {
    const [fast, plain] = both(kernel, inputs, attributes);
    expect(fast).toEqual(plain);
  });

  it('rowStatistics in WebAssembly equals its reference within 1e-12', () => {
    const [fast, plain] = both(rowStatistics, { x }, {});
    expect(fast.ranges).toEqual(plain.ranges);
    for (let i = 0; i < plain.moments.data.length; i++) {
      const row = i - (i % 4);
      const scale =
        Math.abs(i % 4 === 2 ? Number(plain.moments.data[row + 3]) : Number(plain.moments.data[i])) +
        Math.abs(Number(plain.ranges.data[(row / 4) * 2]));
      expect(Math.abs(Number(fast.moments.data[i]) - Number(plain.moments.data[i]))).toBeLessThanOrEqual(1e-12 * scale);
    }
  });
});

describe('the references', () => {
  const row = (...values: number[]) => tensor('f32', [1, values.length], Float32Array.from(values));
  const run = <A>(kernel: Kernel<any, any, A>, x: Tensor, attributes: A) =>
    kernel.reference({ x }, attributes, { start: 0, end: x.shape[0] });

  it('give the moments of rows whose moments are known', () => {
    const n = 4096;
    const { moments } = run(rowStatistics, row(...Array.from({ length: n }, (_, i) => 5 + (i % 2 === 0 ? 1 : -1))), {});
    expect([...(moments.data as Float64Array)]).toEqual([5, n, 0, n]);
  });

  it('give exact medians of sizes', () => {
    for (const [values, median] of [
      [[3, -1, 2], 2],
      [[4, -1, 2, -8], 3],
      [[0, 0, 0, 7], 0],
      [[-5], 5],
    ] as const)
      expect(run(rowMedians, row(...values), {}).medians.data[0]).toBe(median);
  });

  it('find the largest values of a row as sorting does', () => {
    const random = createRng(6);
    for (const width of [1, 2, 4, 5, 64]) {
      const values = Array.from({ length: width }, () => Math.round(20 * random.normal()));
      const order = values.map((_, c) => c).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
      const found = run(rowPeaks, row(...values), {});
      const missing = new Array(Math.max(0, 4 - width)).fill(-1);
      expect([...found.columns.data]).toEqual([...order.slice(0, 4), ...missing]);
      expect([...found.values.data].slice(0, width)).toEqual(order.slice(0, 4).map((c) => values[c]));
    }
  });

  it('put magnitudes into bins that begin at their magnitude', () => {
    for (const value of [0, 1, 1.0078125, 100, 6e-5, 3e38]) {
      const { counts } = run(magnitudeCounts, row(value, -value), {});
      const bin = [...counts.data].findIndex((count) => Number(count) === 2);
      expect(magnitudeOf(bin)).toBeLessThanOrEqual(value);
      expect(magnitudeOf(bin + 1)).toBeGreaterThan(value);
    }
  });

  it('and the WebAssembly agree on medians of equal, tiny and zero values, and of any length', () => {
    const random = createRng(12);
    for (let width = 1; width < 40; width++) {
      const kinds = [
        () => 0,
        () => random.normal(),
        () => Math.round(random.normal()),
        () => 1e-39 * random.integer(9),
        () => 2 ** random.integer(250),
      ];
      for (const kind of kinds) {
        const x = row(...Array.from({ length: width }, kind));
        expect(runWasm(rowMedians, { x }, {})).toEqual(run(rowMedians, x, {}));
      }
    }
  });

  it('let NaN be seen', () => {
    const { absMax, sums } = runWasm(channelStatistics, { x: row(1, NaN, 2) }, { threshold: 1 });
    expect([absMax.data[1], sums.data[1], absMax.data[2]]).toEqual([NaN, NaN, 2]);
  });
});
