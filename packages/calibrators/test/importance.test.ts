import { createCpuBackend } from '@calibrant/backend-cpu';
import {
  createImportanceCollector,
  importanceGaps,
  importanceStatistics,
  meanImportance,
  mergeImportance,
  sumSquares,
  weightedError,
} from '@calibrant/calibrators';
import { createReferenceBackend, type ImportanceEntry, type ImportanceMatrix, tensor } from '@calibrant/core';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

const entry = (sums: number[], counts: number[]): ImportanceEntry => ({ sums: Float64Array.from(sums), counts: Float64Array.from(counts) });
const matrix = (entries: Record<string, ImportanceEntry>, more: Partial<ImportanceMatrix> = {}): ImportanceMatrix => ({
  entries: new Map(Object.entries(entries)),
  datasets: ['a.txt'],
  chunks: 1,
  chunkSize: 512,
  ...more,
});

describe('sums of squares', () => {
  it('are the same bits in WebAssembly and in plain TypeScript, for any rows and columns', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 9 }),
        fc.integer({ min: 1, max: 19 }),
        fc.infiniteStream(fc.float({ noNaN: true })),
        (rows, columns, numbers) => {
          const x = tensor(
            'f32',
            [rows, columns],
            Float32Array.from({ length: rows * columns }, () => numbers.next().value as number),
          );
          const expected = sumSquares.reference({ x }, {}, { start: 0, end: 0 }).sums;
          expect(runWasm(sumSquares, { x }, {}).sums).toEqual(expected);
        },
      ),
    );
  });

  it('keep what f32 would lose', () => {
    const x = tensor('f32', [3, 1], Float32Array.of(4096, 2 ** -12, 2 ** -12));
    expect(sumSquares.reference({ x }, {}, { start: 0, end: 0 }).sums.data[0]).toBe(2 ** 24 + 2 ** -23);
  });
});

describe('weighted errors', () => {
  it('are Σ w (y − x)² and Σ w x² per row, the same bits in WebAssembly', () => {
    const [rows, columns] = [3, 7];
    const wave = (phase: number) => Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7 + phase));
    const [x, y] = [tensor('f32', [rows, columns], wave(0)), tensor('f32', [rows, columns], wave(0.01))];
    for (const importance of [
      undefined,
      tensor(
        'f32',
        [columns],
        Float32Array.from({ length: columns }, (_, c) => c / 3),
      ),
    ]) {
      const inputs = importance ? { x, y, importance } : { x, y };
      const expected = weightedError.reference(inputs as Parameters<typeof weightedError.reference>[0], {}, { start: 0, end: rows });
      expect(runWasm(weightedError, inputs, {})).toEqual(expected);
      let [error, norm] = [0, 0];
      for (let c = 0; c < columns; c++) {
        const w = Number(importance?.data[c] ?? 1);
        error += w * (Number(y.data[columns + c]) - Number(x.data[columns + c])) ** 2;
        norm += w * Number(x.data[columns + c]) ** 2;
      }
      expect(expected.errors.data[1]).toBeCloseTo(error, 12);
      expect(expected.norms.data[1]).toBeCloseTo(norm, 12);
    }
  });
});

describe('a collector', () => {
  it('adds up in the order of the calls on any number of lanes, and counts tokens', async () => {
    const parts = Array.from({ length: 150 }, (_, i) =>
      tensor(
        'f32',
        [1 + (i % 3), 5],
        Float32Array.from({ length: 5 * (1 + (i % 3)) }, (_, j) => Math.sin(i * 7 + j) * 10 ** ((i % 9) - 4)),
      ),
    );
    const expected = new Float64Array(5);
    for (const { data } of parts) {
      const sums = new Float64Array(5);
      data.forEach((value, i) => {
        sums[i % 5] += Number(value) ** 2;
      });
      for (let c = 0; c < 5; c++) expected[c] += sums[c];
    }
    for (const backend of [createReferenceBackend(), await createCpuBackend({ threads: 3 })]) {
      const collector = createImportanceCollector(
        backend,
        new Map([
          ['seen', 5],
          ['unseen', 2],
        ]),
      );
      for (const [i, part] of parts.entries()) {
        const x = await backend.upload(part, { lane: i % backend.lanes });
        collector.observe('seen', x);
        collector.observe('unknown', x);
        backend.free(x);
        await collector.settle();
      }
      const totals = await collector.finish();
      expect(totals.get('seen')).toEqual({ sums: expected, counts: Float64Array.of(300) });
      expect(totals.get('unseen')).toEqual(entry([0, 0], [0]));
      expect(totals.has('unknown')).toBe(false);
      expect(backend.allocatedBytes()).toBe(0);
      await backend.close();
    }
  });
});

describe('means', () => {
  it('are taken per expert, and are ones where no token came', () => {
    const experts = entry([2, 4, 0, 0], [4, 0]);
    expect([...meanImportance('w', experts, 0)]).toEqual([0.5, 1]);
    expect([...meanImportance('w', experts, 1)]).toEqual([1, 1]);
  });

  it('are refused when they are not finite or negative', () => {
    expect(() => meanImportance('blk.0.w', entry([1, Number.POSITIVE_INFINITY], [1]))).toThrow(/blk\.0\.w is Infinity for input channel 1/);
    expect(() => meanImportance('blk.0.w', entry([-1], [1]))).toThrow(/is -1/);
  });
});

describe('merging', () => {
  it('adds sums, counts and chunks, and keeps weights that only one has', () => {
    const merged = mergeImportance([
      matrix({ a: entry([1, 2], [3]) }),
      matrix({ a: entry([10, 20], [30]), b: entry([5], [1]) }, { datasets: ['b.txt'] }),
    ]);
    expect(merged.entries.get('a')).toEqual(entry([11, 22], [33]));
    expect(merged.entries.get('b')).toEqual(entry([5], [1]));
    expect([merged.chunks, merged.datasets]).toEqual([2, ['a.txt', 'b.txt']]);
  });

  it('gives each expert the count of a file that has one for all', () => {
    const merged = mergeImportance([matrix({ a: entry([1, 2], [3]) }), matrix({ a: entry([1, 1], [4, 0]) })]);
    expect(merged.entries.get('a')).toEqual(entry([2, 3], [7, 3]));
  });

  it('refuses matrices of different models, naming the weight', () => {
    expect(() => mergeImportance([matrix({ w: entry([1, 2], [3]) }), matrix({ w: entry([1, 2, 3], [3]) })])).toThrow(
      /2 and 3 values.*for w/s,
    );
    expect(() => mergeImportance([])).toThrow(/no importance matrix/);
  });
});

describe('gaps', () => {
  it('are told with numbers: experts without tokens, channels that were always 0', () => {
    const gaps = importanceGaps(matrix({ 'blk.0.e': entry([1, 0, 0, 0], [5, 0]), 'blk.1.w': entry([1, 2], [9]) }));
    expect(gaps).toEqual([
      expect.stringMatching(/^1 of 3 experts and layers never saw a token: blk\.0\.e \(1 of 2\)/),
      expect.stringMatching(/^1 of 6 input channels were 0 .*blk\.0\.e \(1 of 4\)/),
    ]);
    expect(importanceGaps(matrix({ w: entry([1], [1]) }))).toEqual([]);
  });
});

describe('statistics', () => {
  it('are those of the mean squares', () => {
    const [first, second, outside] = importanceStatistics(
      matrix({ 'output.weight': entry([4, 4], [2]), 'blk.1.w': entry([0, 6, 0, 0], [2]), 'blk.0.w': entry([1, 3, 0, 0], [1]) }),
    );
    expect(first).toMatchObject({
      name: 'blk.0.w',
      block: 0,
      channels: 4,
      sum: 4,
      min: 0,
      max: 3,
      mean: 1,
      active: 0.5,
      zScoreDensity: 0.25,
    });
    expect(first.deviation).toBeCloseTo(Math.sqrt(1.5), 12);
    expect(first.entropy).toBeCloseTo(0.8112781244591328, 12);
    expect(first.normalizedEntropy).toBeCloseTo(0.8112781244591328 / 2, 12);
    expect(first.similarity).toBeUndefined();
    expect(second.similarity).toBeCloseTo(3 / Math.sqrt(10), 12);
    expect(outside).toMatchObject({ name: 'output.weight', mean: 2, entropy: 1, normalizedEntropy: 1, deviation: 0, zScoreDensity: 0 });
    expect(outside.block).toBeUndefined();
  });
});
