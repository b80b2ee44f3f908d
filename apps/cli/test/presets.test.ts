import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseRecipe } from '@calibrant/core';
import { PRESETS } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RecipeOptions, recipeOf } from '../src/commands/recipe-of.js';
import { runCli } from './run-cli.js';

let folder: string;
const at = (name: string) => path.join(folder, name);
const SMALL = ['--samples', '8', '--length', '64', '--calibration', evaluationTextPath];

/** The divergence that a preset stays below on the embedded model: what its bits allow. */
const MOST: Readonly<Record<string, number>> = {
  q4_k_m: 0.1,
  q8_0: 0.002,
  'rtn-w4g128': 0.2,
  'gptq-w4g128': 0.2,
  'awq-w4g128': 0.2,
  'gptq-w8g128': 0.002,
  'smoothquant-w8a8': 0.01,
  'fp8-dynamic': 0.02,
  'fp8-static': 0.03,
  'rtn-w8-channel': 0.002,
};

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-presets-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function json(args: readonly string[]) {
  const { code, stdout, stderr } = await runCli([...args, '--json', '--quiet']);
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe('presets', () => {
  it('are listed, are valid recipes, and answer a slip with the nearest', async () => {
    const { stdout } = await runCli(['presets']);
    for (const { name, recipe } of PRESETS) {
      expect(stdout).toContain(name);
      expect(() => parseRecipe(recipe)).not.toThrow();
    }
    const { code, stderr } = await runCli(['quantize', modelFolder, '--out', at('x'), '--preset', 'gptq-w4g12']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/Did you mean "gptq-w4g128"/)]);
  });

  it.each(Object.keys(MOST))('%s quantizes a model that servers load and that is close to the original', async (name) => {
    const preset = PRESETS.find((one) => one.name === name)!;
    const calibrated = preset.recipe.calibration ? SMALL : [];
    const { files } = await json(['quantize', modelFolder, '--preset', name, '--out', at(name), ...calibrated]);
    const gguf = preset.recipe.format === 'gguf';
    const checked = await runCli(gguf ? ['gguf', 'verify', files[0]] : ['check', at(name), '--tensor-parallel', '2']);
    expect([checked.code, checked.stdout]).toEqual([0, expect.anything()]);
    const { comparison } = await json([
      'eval',
      gguf ? files[0] : at(name),
      '--base',
      modelFolder,
      '--text',
      evaluationTextPath,
      '--windows',
      '1',
    ]);
    expect(comparison.meanKl).toBeGreaterThan(0);
    expect(comparison.meanKl).toBeLessThan(MOST[name]);
  });
});

describe('a method by its name alone', () => {
  it.each<[RecipeOptions, scheme: string, format: string, activations: string | undefined]>([
    [{ method: 'awq' }, 'int4-g128-asym', 'awq', undefined],
    [{ method: 'awq', bits: 3 }, 'int3-g128-asym', 'compressed-tensors', undefined],
    [{ method: 'awq', format: 'gguf' }, 'Q4_K_M', 'gguf', undefined],
    [{ method: 'smoothquant' }, 'int8-channel-sym', 'compressed-tensors', 'int8-token'],
    [{ method: 'smoothquant', activations: 'int8-tensor-static' }, 'int8-channel-sym', 'compressed-tensors', 'int8-tensor-static'],
    [{ method: 'smoothquant', scheme: 'int4-g128-sym' }, 'int4-g128-sym', 'compressed-tensors', undefined],
    [{ method: 'smoothquant', format: 'gptq' }, 'int8-channel-sym', 'gptq', undefined],
    [{ method: 'gptq' }, 'int4-g128-asym', 'compressed-tensors', undefined],
  ])('%j has the grid, the format and the activations that go with it', async (options, scheme, format, activations) => {
    const recipe = parseRecipe(await recipeOf(options));
    expect([recipe.scheme.name, recipe.format.name, recipe.activations]).toEqual([scheme, format, activations]);
  });
});
