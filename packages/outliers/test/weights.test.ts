import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, createReferenceBackend, createRng, rows, type Tensor, tensor } from '@calibrant/core';
import { analyzeWeight, type WeightOptions } from '@calibrant/outliers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const OUT = 48;
const IN = 70;

/** Normal weights with a large input channel and a large single weight. */
function sample(): Tensor {
  const random = createRng(4);
  const values = Float32Array.from({ length: OUT * IN }, (_, i) => 0.1 * random.normal() * (i % IN === 33 ? 12 : 1));
  values[5 * IN + 7] = -9;
  return tensor('f32', [OUT, IN], values);
}

const source = (w: Tensor) => ({
  name: 'w',
  place: 2,
  shape: w.shape as [number, number],
  rows: async (start: number, end: number) => rows(w, start, end),
});

const median = (values: number[]) => {
  const sorted = values.map(Math.abs).sort((a, b) => a - b);
  return (sorted[sorted.length >> 1] + sorted[(sorted.length - 1) >> 1]) / 2;
};

const BACKENDS: [string, () => Backend][] = [
  ['reference', () => createReferenceBackend()],
  ['cpu', () => createCpuBackend({ threads: 2 })],
];

describe.each(BACKENDS)('analyzeWeight on the %s backend', (_, create) => {
  let backend: Backend;
  beforeAll(() => {
    backend = create();
  });
  afterAll(() => backend.close());
  const analyze = (w: Tensor, options?: WeightOptions) => analyzeWeight(backend, source(w), options);
  const w = sample();
  const values = [...(w.data as Float32Array)];

  it('gives moments, range and the share beyond kσ as plain loops do', async () => {
    const found = await analyze(w, { sigmas: [1, 3, 20] });
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const sigma = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
    expect(found.mean).toBeCloseTo(mean, 12);
    expect(found.deviation).toBeCloseTo(sigma, 12);
    expect([found.min, found.max]).toEqual([Math.min(...values), Math.max(...values)]);
    for (const { sigmas, share } of found.beyond)
      expect(share).toBe(values.filter((value) => Math.abs(value - mean) > sigmas * sigma).length / values.length);
    expect(found.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(values.length);
    expect(found.kurtosis).toBeGreaterThan(100);
  });

  it('finds the channels that stand out, with their ratios', async () => {
    const { inputChannels, outputChannels } = await analyze(w);
    const column = (c: number) => Array.from({ length: OUT }, (_, r) => values[r * IN + c]);
    const row = (r: number) => values.slice(r * IN, (r + 1) * IN);
    expect(inputChannels.top[0].channel).toBe(7);
    expect(outputChannels.top[0].channel).toBe(5);
    expect(inputChannels.absMax.values[33]).toBeCloseTo(Math.max(...column(33).map(Math.abs)), 5);
    for (const { channel, ratio } of outputChannels.top)
      expect(ratio).toBeCloseTo(Math.max(...row(channel).map(Math.abs)) / median(row(channel)), 3);
    for (const { channel, absMax, ratio } of inputChannels.top) {
      const sizes = column(channel)
        .map(Math.abs)
        .sort((a, b) => a - b);
      const bin = (Math.SQRT2 / 64) * Math.sqrt(sizes.reduce((sum, size) => sum + size * size, 0) / OUT);
      expect(absMax / ratio).toBeGreaterThan(sizes[OUT / 2 - 1] - bin);
      expect(absMax / ratio).toBeLessThan(sizes[OUT / 2] + bin);
    }
  });

  it('measures how grids use their codes', async () => {
    const grids = [
      { bits: 3, granularity: 'tensor' },
      { bits: 3, granularity: 'channel' },
      { bits: 3, granularity: 35 },
    ] as const;
    const { grids: found } = await analyze(w, { grids });
    const entropyOf = (codes: number[]) => {
      const counts = new Map<number, number>();
      for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
      return [...counts.values()].reduce((sum, count) => sum - (count / codes.length) * Math.log2(count / codes.length), 0);
    };
    const code = (value: number, group: number[]) => {
      const [low, high] = [Math.min(0, ...group), Math.max(0, ...group)];
      const scale = (high - low) / 7;
      return Math.min(7, Math.max(0, Math.round(value / scale) + Math.round(-low / scale)));
    };
    const groups = (size: number) => Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
    for (const [i, size] of [values.length, IN, 35].entries()) {
      const codes = groups(size).flatMap((group) => group.map((value) => code(value, group)));
      expect(found[i].entropy).toBeCloseTo(entropyOf(codes), 2);
      expect(found[i].codesUsed).toBe(new Set(codes).size);
    }
    expect(found[0].entropy).toBeLessThan(found[1].entropy);
  });

  it('gives the same when a weight is too large to be kept, and when it comes in pieces', async () => {
    expect(await analyze(w, { keepBytes: 0 })).toEqual(await analyze(w));
    const whole = await analyze(w, { points: 10 });
    const pieces = await analyze(w, { points: 10, keepBytes: 0, chunkBytes: 7 * IN * 4 });
    expect({ ...pieces, mean: 0, deviation: 0, kurtosis: 0 }).toEqual({ ...whole, mean: 0, deviation: 0, kurtosis: 0 });
    expect(pieces.kurtosis).toBeCloseTo(whole.kurtosis, 9);
    expect(whole.inputChannels.absMax).toMatchObject({ width: IN, perPoint: 7 });
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('takes zeros and constants, and refuses NaN by name', async () => {
    const zeros = await analyze(tensor('f32', [4, 8]));
    expect(zeros).toMatchObject({ kurtosis: 0, deviation: 0, inputChannels: { largestRatio: 0, sparse: 0 } });
    const constant = await analyze(tensor('f32', [4, 8], new Float32Array(32).fill(3)));
    expect(constant).toMatchObject({ kurtosis: 0, min: 3, max: 3, outputChannels: { largestRatio: 1 } });
    const sparse = tensor('f32', [4, 8]);
    sparse.data[3] = 5;
    const { outputChannels, inputChannels } = await analyze(sparse);
    for (const side of [outputChannels, inputChannels]) expect(side).toMatchObject({ sparse: 1, largestRatio: 0 });
    const broken = sample();
    broken.data[100] = NaN;
    await expect(analyze(broken)).rejects.toMatchObject({ code: 'NON_FINITE', details: { tensor: 'w' } });
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('can be cancelled', async () => {
    await expect(analyze(w, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
