import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { RunEvent } from '@calibrant/core';
import { evaluateModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { allocate, type Choice } from '../src/allocate/allocate.js';
import { scratchFolder, testRegistry } from './fixture.js';

/** The least loss within the budget by trying everything. */
function best(tensors: readonly (readonly Choice[])[], budget: number): number {
  const [first, ...rest] = tensors;
  if (!first) return budget >= 0 ? 0 : Number.POSITIVE_INFINITY;
  return Math.min(...first.map(({ bytes, loss }) => loss + best(rest, budget - bytes)));
}

const choice = fc.record({ bytes: fc.integer({ min: 1, max: 20 }), loss: fc.integer({ min: 0, max: 50 }) });

describe('an allocation', () => {
  it('fits the budget, and lies between the best possible and its bound', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(choice, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 100 }),
        (tensors, budget) => {
          const optimum = best(tensors, budget);
          const found = allocate(tensors, budget);
          if (optimum === Number.POSITIVE_INFINITY) return expect(found).toBeUndefined();
          const { chosen, bytes, loss, bound } = found!;
          expect(chosen.reduce((sum, c, i) => sum + tensors[i][c].bytes, 0)).toBe(bytes);
          expect(chosen.reduce((sum, c, i) => sum + tensors[i][c].loss, 0)).toBeCloseTo(loss, 9);
          expect(bytes).toBeLessThanOrEqual(budget);
          expect(bound).toBeLessThanOrEqual(optimum + 1e-9);
          expect(loss).toBeGreaterThanOrEqual(optimum - 1e-9);
          const largestStep = Math.max(...tensors.flatMap((choices) => choices.map(({ loss: of }) => of)));
          expect(loss - bound).toBeLessThanOrEqual(largestStep + 1e-9);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('reports ever smaller losses at ever larger sizes', () => {
    const tensors = [1, 2, 3].map((size) => [4, 5, 6, 8].map((bits) => ({ bytes: size * bits, loss: size * 4 ** -bits })));
    const { frontier } = allocate(tensors, 1000)!;
    expect(frontier).toHaveLength(10);
    for (const [i, { bytes, loss }] of frontier.slice(1).entries()) {
      expect(bytes).toBeGreaterThan(frontier[i].bytes);
      expect(loss).toBeLessThan(frontier[i].loss);
    }
  });
});

describe('a target size', () => {
  it('is kept, with less divergence than the mixture of that size', async () => {
    const registry = testRegistry();
    const backend = await createCpuBackend({ threads: 2 });
    const scratch = await scratchFolder();
    const run = (out: string, more: object) =>
      quantizeModel({
        model: modelFolder,
        recipe: { scheme: 'Q4_K_M', format: 'gguf', ...more },
        out: scratch.path(out),
        registry,
        backend,
      });
    const divergence = async (file: string) =>
      (await evaluateModel({ model: file, base: modelFolder, text: evaluationTextPath, maxWindows: 4, registry, backend })).comparison!
        .meanKl;
    try {
      const types = ['Q4_K', 'Q5_K', 'Q6_K', 'Q8_0'];
      const mixture = await run('mixture', {});
      const chosen = await run('chosen', { target: { bitsPerWeight: mixture.bitsPerWeight, types } });
      expect(chosen.bitsPerWeight).toBeLessThanOrEqual(mixture.bitsPerWeight);
      expect(chosen.target!.loss).toBeGreaterThanOrEqual(chosen.target!.bound);
      expect(await divergence(chosen.files[0])).toBeLessThan(await divergence(mixture.files[0]));
      const bySize = await run('size', { target: { bytes: 3_200_000, types } });
      expect(bySize.bytes).toBeLessThanOrEqual(3_200_000);
      // What the budget leaves for metadata is what the file has of it, but for the padding between tensors.
      const beside = bySize.bytes - bySize.target!.bytes;
      expect(3_200_000 - bySize.target!.budgetBytes).toBeGreaterThanOrEqual(beside);
      expect(3_200_000 - bySize.target!.budgetBytes - beside).toBeLessThan(2000);
      await expect(run('tiny', { target: { bitsPerWeight: 1, types } })).rejects.toThrow(/smallest types need .*bits per weight/);
      const { target } = chosen;
      expect(
        target!.frontier.some(({ bytes }) => bytes < target!.bytes) && target!.frontier.some(({ bytes }) => bytes > target!.bytes),
      ).toBe(true);
      expect(JSON.parse(await readFile(scratch.path('chosen/calibrant.json'), 'utf8')).target).toEqual(target);
      // More than there is to spend: half precision everywhere, and a word about it.
      const warnings: string[] = [];
      const onEvent = (event: RunEvent) => 'warning' in event && warnings.push(event.warning);
      const all = await quantizeModel({
        model: modelFolder,
        recipe: { scheme: 'Q4_K_M', format: 'gguf', target: { bytes: 1e9, types: ['Q8_0', 'F16'] } },
        out: scratch.path('all'),
        dryRun: true,
        registry,
        backend,
        onEvent,
      });
      expect(all.bitsPerWeight).toBeGreaterThan(16);
      expect(warnings.join()).toMatch(/target is larger than the model.*8\.4 MB/);
    } finally {
      await backend.close();
      await scratch.clean();
    }
  }, 60_000);
});
