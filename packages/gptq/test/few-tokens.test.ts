import { createReferenceBackend } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { correlatedHessian, normalWeight, quantizeLayer } from './quantize-layer.js';

describe('experts that saw few tokens', () => {
  const weight = normalWeight(6, 16, 1);
  const hessian = correlatedHessian(16, 64, 2);
  const quantize = (tokens: number, options = {}) =>
    quantizeLayer(weight, hessian, 'int4-g8-asym', options, createReferenceBackend(), { tokens, calibrationTokens: 10_000 });

  it('are rounded to nearest, with a warning that names the layer and counts the tokens', async () => {
    const { facts, warnings } = await quantize(49);
    expect(facts).toEqual({ fallback: 'rtn' });
    expect(warnings).toEqual([
      'GPTQ rounded "layer.weight" to nearest: 49 of 10000 calibration tokens reached it, less than 0.5 % (leastTokenShare).',
    ]);
  });

  it('are calibrated where enough reached them, or where the option asks for less', async () => {
    expect((await quantize(50)).facts['fallback']).toBeUndefined();
    expect((await quantize(49, { leastTokenShare: 0.001 })).facts['fallback']).toBeUndefined();
    expect((await quantize(0, { leastTokenShare: 0.001 })).warnings[0]).toContain('0 of 10000 calibration tokens');
  });
});
