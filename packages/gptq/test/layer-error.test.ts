import { affineValues, createRng, type Tensor, tensor } from '@calibrant/core';
import { ACT_ORDERS, type GptqOptions } from '@calibrant/gptq';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { correlatedHessian, normalWeight, quantizeLayer } from './quantize-layer.js';

/** Mean squared error of the outputs, in f64: `trace(Δ·H·Δᵀ) / (2 · rows)`. */
function meanSquaredError(weight: Tensor, hessian: Tensor, values: Tensor): number {
  const [rows, n] = weight.shape;
  let sum = 0;
  for (let r = 0; r < rows; r++) {
    const delta = Array.from({ length: n }, (_, c) => Number(weight.data[r * n + c]) - Number(values.data[r * n + c]));
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += delta[i] * delta[j] * Number(hessian.data[i * n + j]);
  }
  return sum / (2 * rows);
}

describe('the error on the calibration data', () => {
  it('is never above round-to-nearest’s, and the reported figures are the measured ones', async () => {
    const granularity = fc.constantFrom('tensor', 'channel', 'g8', 'g16');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 3, 4, 8),
        granularity,
        fc.boolean(),
        fc.constantFrom(...ACT_ORDERS),
        fc.boolean(),
        fc.integer({ min: 1, max: 300 }),
        fc.nat(),
        async (bits, grain, symmetric, actOrder, staticGroups, tokens, seed) => {
          const weight = normalWeight(12, 32, seed);
          const hessian = correlatedHessian(32, tokens, seed + 1);
          const scheme = `int${bits}-${grain}-${symmetric ? 'sym' : 'asym'}`;
          const { tensor: result, facts } = await quantizeLayer(weight, hessian, scheme, { actOrder, staticGroups });
          const measured = meanSquaredError(weight, hessian, affineValues(result));
          // f32 products over 32 channels; errors near zero (few tokens) are noise of the size of the weights' own rounding.
          const noise = 1e-5 * measured + 1e-9;
          expect(Math.abs(measured - Number(facts.error))).toBeLessThanOrEqual(10 * noise);
          expect(measured).toBeLessThanOrEqual(Number(facts.rtnError) + 10 * noise);
        },
      ),
      { numRuns: 120, seed: 11 },
    );
  });

  it('is well below round-to-nearest’s on correlated inputs even without keeping better rows', async () => {
    const weight = normalWeight(32, 64, 5);
    const hessian = correlatedHessian(64, 400, 6);
    for (const scheme of ['int2-g16-asym', 'int3-channel-sym', 'int4-g32-asym', 'int8-tensor-sym']) {
      const { facts } = await quantizeLayer(weight, hessian, scheme, { keepBetterRows: false });
      expect(Number(facts.error)).toBeLessThan(0.5 * Number(facts.rtnError));
    }
  });

  it('falls with act-order where channels differ in importance', async () => {
    const weight = normalWeight(32, 64, 7);
    const hessian = correlatedHessian(64, 400, 8);
    const errorWith = async (options: GptqOptions) =>
      Number((await quantizeLayer(weight, hessian, 'int3-channel-asym', options)).facts.error);
    expect(await errorWith({ actOrder: 'full' })).toBeLessThan(await errorWith({ actOrder: 'none' }));
  });

  it('equals round-to-nearest code for code when the inputs are independent', async () => {
    const weight = normalWeight(10, 32, 9);
    const identity = tensor('f32', [32, 32]);
    for (let i = 0; i < 32; i++) identity.data[i * 33] = 2;
    const plain = await quantizeLayer(weight, tensor('f32', [32, 32]), 'int4-g8-asym');
    expect(plain.facts.fallback).toBe('rtn');
    for (const actOrder of ACT_ORDERS) {
      const { tensor: result, facts } = await quantizeLayer(weight, identity, 'int4-g8-asym', { actOrder });
      expect(facts.fallback).toBeUndefined();
      expect(result).toEqual(actOrder === 'full' ? { ...plain.tensor, groupIndex: result.groupIndex } : plain.tensor);
    }
  });

  it('keeps round-to-nearest for rows where compensation does harm on the undamped data', async () => {
    const random = createRng(12);
    const weight = tensor(
      'f32',
      [64, 16],
      Float32Array.from({ length: 1024 }, () => random.normal()),
    );
    const hessian = correlatedHessian(16, 40, 13);
    const free = await quantizeLayer(weight, hessian, 'int2-channel-sym', { keepBetterRows: false, actOrder: 'none' });
    const kept = await quantizeLayer(weight, hessian, 'int2-channel-sym', { actOrder: 'none' });
    expect(Number(kept.facts.rowsKeptRtn)).toBeGreaterThan(0);
    expect(Number(kept.facts.error)).toBeLessThan(Number(free.facts.error));
  });
});
