import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, createReferenceBackend, createRng, type Tensor, tensor } from '@calibrant/core';
import { activationFigures, createActivationCollector, createPeakCollector, massiveFigures, outlierDimensions } from '@calibrant/outliers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const WIDTH = 40;

function sample(tokens: number, seed: number): Tensor {
  const random = createRng(seed);
  return tensor(
    'f32',
    [tokens, WIDTH],
    Float32Array.from({ length: tokens * WIDTH }, (_, i) => random.normal() * (i % WIDTH === 11 ? 20 : 1)),
  );
}

async function collect(backend: Backend, parts: readonly Tensor[], lanes: number) {
  const collector = createActivationCollector(backend, new Map([['x', WIDTH]]), 6);
  for (const [i, part] of parts.entries()) {
    const x = await backend.upload(part, { lane: i % lanes });
    collector.observe('x', x);
    collector.observe('unknown', x);
    backend.free(x);
    await collector.settle();
  }
  return (await collector.finish()).get('x')!;
}

describe('activations', () => {
  let cpu: Backend;
  beforeAll(() => {
    cpu = createCpuBackend({ threads: 2 });
  });
  afterAll(() => cpu.close());
  const parts = [sample(9, 1), sample(17, 2), sample(4, 3)];
  const values = parts.flatMap(({ data }) => [...(data as Float32Array)]);
  const tokens = values.length / WIDTH;

  it('are described as plain loops describe them, whatever the lanes', async () => {
    const totals = await collect(cpu, parts, 2);
    const figures = activationFigures(totals, { top: 3, points: 100 }, 'x');
    expect(await collect(cpu, parts, 1)).toEqual(totals);
    const reference = activationFigures(await collect(createReferenceBackend(), parts, 1), { top: 3, points: 100 }, 'x');
    expect(reference.kurtosis).toBeCloseTo(figures.kurtosis, 9);
    const channel = values.filter((_, i) => i % WIDTH === 11);
    const largest = Math.max(...channel.map(Math.abs));
    expect(figures).toMatchObject({ tokens, width: WIDTH, absMax: largest });
    expect(figures.top[0]).toMatchObject({
      channel: 11,
      absMax: largest,
      share: channel.filter((value) => Math.abs(value) >= 6).length / tokens,
    });
    expect(figures.top[0].rms).toBeCloseTo(Math.sqrt(channel.reduce((sum, value) => sum + value * value, 0) / tokens), 6);
    const perChannel = Array.from({ length: WIDTH }, (_, c) => Math.max(...values.filter((_, i) => i % WIDTH === c).map(Math.abs))).sort(
      (a, b) => a - b,
    );
    expect(figures.channelRatio).toBeCloseTo(largest / ((perChannel[19] + perChannel[20]) / 2), 6);
    expect(figures.top[0].ratio).toBe(figures.channelRatio);
    const sizes = values.map(Math.abs).sort((a, b) => a - b);
    expect(Math.abs(figures.median / sizes[sizes.length >> 1] - 1)).toBeLessThan(0.02);
    expect(figures.channelsAbove).toBe(1);
    await cpu.sync();
    expect(cpu.allocatedBytes()).toBe(0);
  });

  it('are refused when they hold NaN, by name', async () => {
    const broken = sample(3, 9);
    broken.data[5] = NaN;
    const totals = await collect(cpu, [broken], 1);
    expect(() => activationFigures(totals, { top: 1, points: 10 }, 'The input of w')).toThrow(/The input of w holds NaN/);
  });

  it('that nothing came to have figures too', async () => {
    const figures = activationFigures(await collect(cpu, [], 1), { top: 1, points: 10 }, 'x');
    expect(figures).toMatchObject({ tokens: 0, absMax: 0, rms: 0, kurtosis: 0, channelRatio: 0 });
    expect(JSON.stringify(figures)).not.toContain('null');
  });

  it('are massive when they are large and many medians', async () => {
    const x = sample(6, 5);
    x.data[0 * WIDTH + 30] = -2000;
    x.data[4 * WIDTH + 30] = 1500;
    x.data[4 * WIDTH + 2] = 99;
    const peaks = createPeakCollector(cpu);
    const handle = await cpu.upload(x);
    peaks.observe(handle, 7);
    cpu.free(handle);
    const found = await peaks.finish(3, 0.7, { massiveValue: 100, massiveRatio: 1000 });
    expect(found.massive).toEqual([
      { sequence: 7, position: 0, dimension: 30, value: -2000, layer: 3, ratio: 2000 / 0.7 },
      { sequence: 7, position: 4, dimension: 30, value: 1500, layer: 3, ratio: 1500 / 0.7 },
    ]);
    expect(found.peaks.map(({ value }) => value)).toEqual([-2000, 1500, 99]);
    const tokens = ['<s>', '', '', '', ' .'];
    const { byPosition, byDimension } = massiveFigures(found.massive.map((peak) => ({ ...peak, token: tokens[peak.position] })));
    expect(byPosition).toEqual({ first: 1, delimiter: 1, other: 0 });
    expect(byDimension).toEqual([{ dimension: 30, count: 2 }]);
  });
});

describe('outlier dimensions', () => {
  const layer = (block: number, above: number[], absMax = above.map((count) => (count > 0 ? 8 : 1))) => ({
    block,
    tokens: 100,
    above,
    absMax,
  });

  it('need their share of the layers and of all hidden states', () => {
    // 4 layers; dimension 0: in one layer at 24 %; 1: in one at 23 %; 2: in all at 6 %; 3: never.
    const counts = [layer(0, [24, 23, 6, 0]), layer(1, [0, 0, 6, 0]), layer(2, [0, 0, 6, 0]), layer(3, [0, 0, 6, 0])];
    const criteria = { layerShare: 0.25, positionShare: 0.06 };
    expect(outlierDimensions(counts, criteria)).toEqual([
      { dimension: 2, layers: 1, positions: 0.06, absMax: 8 },
      { dimension: 0, layers: 0.25, positions: 0.06, absMax: 8 },
    ]);
    expect(outlierDimensions(counts, { ...criteria, layerShare: 0.26 }).map(({ dimension }) => dimension)).toEqual([2]);
    expect(outlierDimensions([], criteria)).toEqual([]);
  });

  it('count a layer once, by the input with most', () => {
    const counts = [layer(0, [10, 0]), layer(0, [50, 0]), layer(1, [0, 0])];
    expect(outlierDimensions(counts, { layerShare: 0.25, positionShare: 0.06 })).toEqual([
      { dimension: 0, layers: 0.5, positions: 0.25, absMax: 8 },
    ]);
  });
});
