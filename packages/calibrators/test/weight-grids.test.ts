import { createCpuBackend } from '@calibrant/backend-cpu';
import { calibrators } from '@calibrant/calibrators';
import {
  type AffineScheme,
  affineValues,
  type Backend,
  type BufferHandle,
  bindCalibrator,
  createReferenceBackend,
  createRegistry,
  createRng,
  defineKernel,
  fitScheme,
  parseAffineScheme,
  parseRecipe,
  tensor,
} from '@calibrant/core';
import { rtn } from '@calibrant/rtn';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const registry = createRegistry([calibrators()]);
const bind = (calibrator: unknown) => bindCalibrator(registry, parseRecipe({ calibrator }).calibrator!);
const random = createRng(4);
const [rows, columns] = [40, 256];
/** Heavy tails, as weights with outliers have. */
const weights = tensor(
  'f32',
  [rows, columns],
  Float32Array.from({ length: rows * columns }, () => random.normal() * (random.uniform() < 0.003 ? 0.8 : 0.05)),
);
const SCHEMES = ['int3-tensor', 'int3-tensor-asym', 'int3-channel', 'int3-channel-asym', 'int3-g64', 'int3-g64-asym'];

let cpu: Backend;
beforeAll(async () => {
  cpu = await createCpuBackend({ threads: 2 });
});
afterAll(() => cpu.close());

async function round(backend: Backend, name: string, calibrator?: unknown) {
  const weight = await backend.upload(weights);
  const scheme = parseAffineScheme(name) as AffineScheme;
  const context = { backend, warn: () => {}, ...(calibrator ? { calibrator: bind(calibrator) } : {}) };
  const result = await rtn().quantize({ name: 'w', weight, scheme }, {}, context);
  backend.free(weight);
  return result;
}

const squaredError = (quantized: Awaited<ReturnType<typeof round>>) =>
  (affineValues(quantized.tensor).data as Float32Array).reduce((sum, value, i) => sum + (value - Number(weights.data[i])) ** 2, 0);

describe('grids of weights by a calibrator', () => {
  it('minmax and moving-average are the grid without a calibrator', async () => {
    for (const name of SCHEMES)
      for (const calibrator of ['minmax', 'moving-average'])
        for (const backend of [cpu, createReferenceBackend()]) {
          const scheme = parseAffineScheme(name) as AffineScheme;
          const weight = await backend.upload(weights);
          const [plain, bound] = [await fitScheme(backend, weight, scheme), await fitScheme(backend, weight, scheme, bind(calibrator))];
          for (const part of ['scales', 'zeroPoints'] as const)
            expect(await backend.download(bound[part])).toEqual(await backend.download(plain[part]));
          backend.free(weight, plain.scales, plain.zeroPoints, bound.scales, bound.zeroPoints);
          expect(backend.allocatedBytes()).toBe(0);
        }
  });

  it.each(SCHEMES)('%s: the least squared error is that of mse, and the codes are used better than by minmax', async (name) => {
    const of = new Map<string, Awaited<ReturnType<typeof round>>>();
    for (const calibrator of ['minmax', 'percentile', 'entropy'])
      of.set(calibrator, await round(cpu, name, { name: calibrator, options: calibrator === 'percentile' ? { percentile: 99.5 } : {} }));
    const best = await round(cpu, name, { name: 'mse', options: { norm: 2, maxShrink: 0.95 } });
    // The other ranges are not among those that mse tries: it may be worse by less than a step of the search.
    for (const [, other] of of) expect(squaredError(best)).toBeLessThan(squaredError(other) * 1.02);
    expect(squaredError(best)).toBeLessThan(0.95 * squaredError(of.get('minmax')!));
    const [use, whole] = [best.facts!, of.get('minmax')!.facts!];
    expect(whole.clippedShare).toBe(0);
    expect(use.clippedShare).toBeGreaterThan(0);
    expect(use.clippedShare).toBeLessThan(0.1);
    expect(use.codeEntropy).toBeGreaterThan(Number(whole.codeEntropy));
    expect(use.codeEntropy).toBeLessThanOrEqual(3);
  });

  it('the same bits on any number of threads', async () => {
    const one = await createCpuBackend({ threads: 1 });
    for (const calibrator of ['percentile', 'mse', 'entropy'])
      expect(await round(one, 'int4-g64-asym', calibrator)).toEqual(await round(cpu, 'int4-g64-asym', calibrator));
    await one.close();
  });

  it('unknown names and options are answered with the nearest', () => {
    expect(() => bind('percentil')).toThrow(/Did you mean "percentile"/);
    expect(() => bind({ name: 'mse', options: { shrink: 1 } })).toThrow(/recipe\.calibrator\.options\.shrink/);
    expect(() => bind({ name: 'percentile', options: { percentile: 101 } })).toThrow(/percentile/);
  });
});

/** The range from 0 to 1.5 for one row. */
const upToHalf = defineKernel<'w', 'lows' | 'highs', Record<string, never>>({
  name: 'test.upToHalf',
  inputs: { w: { role: 'rows' } },
  outputs: { lows: { role: 'rows' }, highs: { role: 'rows' } },
  infer: () => ({ lows: { dtype: 'f32', shape: [1, 1] }, highs: { dtype: 'f32', shape: [1, 1] } }),
  reference: () => ({ lows: tensor('f32', [1, 1]), highs: tensor('f32', [1, 1], Float32Array.of(1.5)) }),
});

describe('how weights use their grid', () => {
  it('is counted: codes that occur, their entropy, and what was clipped', async () => {
    const backend = createReferenceBackend();
    const values = Float32Array.of(0, 1, 2, 3, 3, 3, 3, 0);
    const weight = await backend.upload(tensor('f32', [1, 8], values));
    const scheme = parseAffineScheme('int2-channel-asym') as AffineScheme;
    const half = {
      name: 'half',
      range: () => ({ low: 0, high: 1.5 }),
      ranges: (on: Backend, w: BufferHandle) => on.run(upToHalf, { w }, {}),
    };
    const context = { backend, warn: () => {} };
    const plain = await rtn().quantize({ name: 'w', weight, scheme }, {}, context);
    expect(plain.facts).toEqual({ codesUsed: 1, codeEntropy: 1.75, clippedShare: 0 });
    const clipped = await rtn().quantize({ name: 'w', weight, scheme }, {}, { ...context, calibrator: half });
    // Steps of 0.5: 2 and 3 lie beyond 1.5 by more than half of one.
    expect(clipped.facts).toEqual({ codesUsed: 0.75, codeEntropy: expect.closeTo(1.2988, 4), clippedShare: 5 / 8 });
  });
});
