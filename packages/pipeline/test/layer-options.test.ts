import { createCpuBackend } from '@calibrant/backend-cpu';
import type { RecipeInput } from '@calibrant/core';
import { quantizeModel } from '@calibrant/pipeline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';
import { writeRandomModel } from './random-model.js';

const registry = testRegistry();
const backend = createCpuBackend({ threads: 1 });
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
beforeAll(async () => {
  scratch = await scratchFolder();
  await writeRandomModel(scratch.path('olmo2'), 'olmo2');
  await writeRandomModel(scratch.path('mixtral'), 'mixtral');
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

/** Quantizes a small random model by GPTQ on random tokens; what is said of each layer, and the warnings. */
async function run(model: string, options: Record<string, unknown>, recipe: RecipeInput = {}) {
  const warnings: string[] = [];
  const { tensors } = await quantizeModel({
    model: scratch.path(model),
    out: scratch.path('out'),
    force: true,
    recipe: {
      scheme: 'int4-g16-asym',
      format: 'compressed-tensors',
      quantizer: { name: 'gptq', options },
      calibration: { source: 'random', samples: 4, length: 32 },
      ...recipe,
    },
    registry,
    backend,
    onEvent: (event) => {
      if ('warning' in event) warnings.push(event.warning);
    },
  });
  return { layers: new Map(tensors.map((tensor) => [tensor.name, tensor])), warnings };
}

describe('overrides by pattern', () => {
  it('change options and grids of the layers that they name, later ones over earlier ones', async () => {
    const overrides = {
      'model.layers.0.*': { options: { dampPercent: 0.2 } },
      '*.down_proj.weight': { scheme: 'int8-channel-sym', options: { dampPercent: 0.3, actOrder: 'none' } },
      '*.layers.1.self_attn.q_proj.weight': 'int3-g16-sym',
    };
    const { layers } = await run('olmo2', { dampPercent: 0.1 }, { overrides });
    const facts = (name: string) => {
      const { scheme, facts: { dampPercent } = {} } = layers.get(`model.layers.${name}.weight`)!;
      return [scheme, dampPercent];
    };
    expect(facts('0.self_attn.q_proj')).toEqual(['int4-g16-asym', 0.2]);
    expect(facts('0.mlp.down_proj')).toEqual(['int8-channel-sym', 0.3]);
    expect(facts('1.mlp.down_proj')).toEqual(['int8-channel-sym', 0.3]);
    expect(facts('1.mlp.up_proj')).toEqual(['int4-g16-asym', 0.1]);
    expect(facts('1.self_attn.q_proj')).toEqual(['int3-g16-sym', 0.1]);
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });

  it.each([
    [{ '*q_proj*': { options: { dampPercnt: 0.2 } } }, /recipe\.overrides\.\*q_proj\*\.options\.dampPercnt".*Did you mean "dampPercent"/],
    [{ '*q_proj*': { options: { trueSequential: false } } }, /"trueSequential".*whole blocks.*recipe\.quantizer\.options/],
    [{ '*q_proj*': { shceme: 'int4' } }, /Did you mean "scheme"/],
    [{ '*nothing*': { options: { dampPercent: 0.2 } } }, /matches no tensor/],
  ])('are refused where they make no sense: %j', async (overrides, message) => {
    await expect(run('olmo2', {}, { overrides } as RecipeInput)).rejects.toMatchObject({
      code: 'INVALID_RECIPE',
      message: expect.stringMatching(message),
    });
  });
});

describe('experts of a mixture', () => {
  const fallen = ({ layers }: Awaited<ReturnType<typeof run>>) => [...layers.values()].filter(({ facts }) => facts?.['fallback'] === 'rtn');
  const expert = /experts\.\d+\./;

  it('that saw fewer tokens than asked for are rounded to nearest, each named in a warning with its count', async () => {
    const result = await run('mixtral', { leastTokenShare: 0.55 });
    const names = fallen(result).map(({ name }) => name);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !expert.test(name))).toEqual([]);
    expect(result.warnings.filter((warning) => /\d+ of 128 calibration tokens reached it/.test(warning))).toHaveLength(names.length);
  });

  it('or calibrated on the tokens of all experts where they read the hidden states', async () => {
    const options = { leastTokens: 70, keepBetterRows: false };
    const result = await run('mixtral', { ...options, fewTokensFallback: 'all-experts' });
    const names = (fallback: string) =>
      [...result.layers.values()].filter(({ facts }) => facts?.['fallback'] === fallback).map(({ name }) => name);
    expect(names('all-experts').length).toBeGreaterThan(0);
    expect(names('all-experts').filter((name) => !/experts\.\d+\.w[13]\./.test(name))).toEqual([]);
    expect(names('rtn').filter((name) => !/experts\.\d+\.w2\./.test(name))).toEqual([]);
    expect(names('all-experts')).toHaveLength(2 * names('rtn').length);
    const { facts } = result.layers.get(names('all-experts')[0])!;
    expect(Number(facts!['error'])).toBeLessThan(Number(facts!['rtnError']));
    expect(
      result.warnings.filter((warning) => /on the tokens of all experts: \d+ of 128 .* less than 70 \(leastTokens\)/.test(warning)),
    ).toHaveLength(names('all-experts').length);
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('see all tokens with calibrateAllExperts', async () => {
    const result = await run('mixtral', { leastTokenShare: 1, calibrateAllExperts: true });
    expect(fallen(result)).toEqual([]);
    expect([...result.layers.values()].filter(({ name, facts }) => expert.test(name) && facts?.['dampPercent'] !== undefined)).toHaveLength(
      24,
    );
  });

  it('see those of the full-precision model, too, with GPTAQ', async () => {
    const options = { leastTokenShare: 0, keepBetterRows: false, calibrateAllExperts: true };
    const errors = async (more: Record<string, unknown>) => {
      const { layers } = await run('mixtral', { ...options, ...more });
      return [...layers.values()].filter(({ name }) => /layers\.1.*experts\.0\./.test(name)).map(({ facts }) => facts!['error']);
    };
    const [plain, asymmetric] = [await errors({}), await errors({ asymmetricCalibration: true })];
    expect(plain).toHaveLength(3);
    for (const [i, error] of plain.entries()) expect(asymmetric[i]).not.toBe(error);
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });
});
