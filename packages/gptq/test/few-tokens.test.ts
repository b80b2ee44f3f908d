import { add, createReferenceBackend, parseAffineScheme, parseOptions } from '@calibrant/core';
import { type GptqOptions, gptq } from '@calibrant/gptq';
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

  it('are calibrated on the tokens of all experts where the option says so and they read what all experts read', async () => {
    const backend = createReferenceBackend();
    const plugin = gptq();
    const all = correlatedHessian(16, 64, 9);
    const [w, h] = [await backend.upload(weight), await backend.upload(hessian)];
    const shared = await backend.upload(all);
    const of = async (options: GptqOptions, ofAllExperts: boolean) => {
      const warnings: string[] = [];
      const sum = () => backend.run(add, { a: shared, b: shared }, { scale: 0 }).y;
      const observations = { hessian: h, tokens: 7, calibrationTokens: 10_000, ...(ofAllExperts ? { ofAllExperts: sum } : {}) };
      const layer = { name: 'layer.weight', weight: w, scheme: parseAffineScheme('int3-g8-asym')!, observations };
      const result = await plugin.quantize(layer, parseOptions(plugin.options, options, 'gptq'), {
        backend,
        warn: (text) => void warnings.push(text),
      });
      return { ...result, warnings };
    };
    const fallen = await of({ fewTokensFallback: 'all-experts' }, true);
    const direct = await quantizeLayer(weight, all, 'int3-g8-asym', {}, backend);
    expect(fallen.tensor).toEqual(direct.tensor);
    expect(fallen.facts).toEqual({ ...direct.facts, fallback: 'all-experts' });
    expect(fallen.warnings).toEqual([
      'GPTQ calibrated "layer.weight" on the tokens of all experts: 7 of 10000 calibration tokens reached it, less than 0.5 % (leastTokenShare).',
    ]);
    expect((await of({ fewTokensFallback: 'all-experts' }, false)).facts).toEqual({ fallback: 'rtn' });
    expect((await of({}, true)).facts).toEqual({ fallback: 'rtn' });
    expect((await of({ leastTokens: 5, leastTokenShare: 0 }, true)).facts!['fallback']).toBeUndefined();
    backend.free(w, h, shared);
    expect(backend.allocatedBytes()).toBe(0);
  });
});
