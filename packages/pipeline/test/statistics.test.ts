import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend, RecipeInput } from '@calibrant/core';
import { evaluateModel, makeStatistics, quantizeModel, readStatistics, writeStatistics } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { copyModel, scratchFolder, testRegistry, zeroTensor } from './fixture.js';
import { writeOutlierTwin } from './outlier-twin.js';
import { writeRandomModel } from './random-model.js';

const registry = testRegistry();
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let file: string;
const base = { scheme: 'int8-channel-sym', format: 'compressed-tensors' } as const;

beforeAll(async () => {
  backend = createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
  const text = await copyOfText();
  file = scratch.path('statistics.safetensors');
  await makeStatistics({ model: modelFolder, calibration: calibrationOn(text), out: file, registry, backend });
  await rm(text);
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

const calibrationOn = (text: string) => ({ source: 'file', path: text, samples: 8, length: 48 }) as const;

async function copyOfText(): Promise<string> {
  const text = scratch.path('text.txt');
  await writeFile(text, await readFile(evaluationTextPath));
  return text;
}

async function quantize(recipe: RecipeInput, name: string, model = modelFolder) {
  const warnings: string[] = [];
  const out = scratch.path(name);
  const onEvent = (event: object) => 'warning' in event && warnings.push(String(event.warning));
  const result = await quantizeModel({ model, out, recipe: { ...base, ...recipe }, registry, backend, onEvent });
  return {
    result,
    warnings,
    bytes: await readFile(path.join(out, 'model.safetensors')),
    config: await readFile(path.join(out, 'config.json'), 'utf8'),
  };
}

/** What a recipe gives with the saved statistics; the same bytes as with a calibration of its own. */
async function sameEitherWay(recipe: RecipeInput, name: string) {
  const text = await copyOfText();
  const own = await quantize({ ...recipe, calibration: calibrationOn(text) }, `${name}-own`);
  await rm(text); // nothing but the file is there now
  const reused = await quantize({ ...recipe, statistics: file }, `${name}-reused`);
  expect(reused.bytes.equals(own.bytes)).toBe(true);
  expect(reused.config).toBe(own.config);
  expect(reused.result.execution).toEqual(own.result.execution);
  expect(reused.result.transforms).toEqual(own.result.transforms);
  expect(reused.result.calibration).toEqual(own.result.calibration);
  return reused.warnings.filter((warning) => /saved statistics/.test(warning));
}

describe('saved statistics in the place of calibration', () => {
  it('give static ranges of inputs and caches, to the byte those of a calibration of its own', async () => {
    expect(await sameEitherWay({ activations: 'int8-tensor-static', kvCache: 'fp8-tensor-static' }, 'static')).toEqual([]);
  });

  it('with Hessians give GPTQ on full-precision blocks all that it needs', async () => {
    const text = await copyOfText();
    const kept = scratch.path('kept.safetensors');
    const made = await makeStatistics({
      model: modelFolder,
      calibration: calibrationOn(text),
      out: kept,
      hessians: true,
      registry,
      backend,
    });
    expect(made.hessians).toBe(scratch.path('kept.hessians.safetensors'));
    const sequential = { name: 'gptq', options: { trueSequential: false } };
    const recipe = { quantizer: sequential, propagate: 'full', scheme: 'int3-g64-asym' } as const;
    const own = await quantize({ ...recipe, calibration: calibrationOn(text) }, 'gptq-full');
    const reused = await quantize({ ...recipe, statistics: kept }, 'gptq-kept');
    expect(reused.bytes.equals(own.bytes)).toBe(true);
    expect(reused.warnings.filter((warning) => /saved statistics/.test(warning))).toEqual([]);
    const facts = ({ result }: typeof own) => result.tensors.map(({ facts }) => facts);
    expect(facts(reused)).toEqual(facts(own));

    const why = async (name: string, more: RecipeInput) =>
      (await quantize({ ...recipe, statistics: kept, ...more }, name)).warnings.find((warning) => /saved statistics/.test(warning));
    expect(await why('quantized', { propagate: 'quantized' })).toMatch(/quantized layers before it produce \(--propagate full/);
    expect(await why('none-kept', { statistics: file })).toMatch(/gptq needs Hessians, which calibrant calibrate saves with --hessians/);
    const gptaq = { name: 'gptq', options: { trueSequential: false, asymmetricCalibration: true } };
    expect(await why('gptaq', { quantizer: gptaq })).toMatch(/gptq compares the inputs of two models/);

    await copyFile(scratch.path('kept.hessians.safetensors'), scratch.path('statistics.hessians.safetensors'));
    await quantize({ ...recipe, statistics: file }, 'same-tokens');
    const other = scratch.path('other.safetensors');
    await makeStatistics({ model: modelFolder, calibration: { ...calibrationOn(text), seed: 1 }, out: other, registry, backend });
    await rename(scratch.path('statistics.hessians.safetensors'), scratch.path('other.hessians.safetensors'));
    await expect(quantize({ ...recipe, statistics: other }, 'mixed-up')).rejects.toThrow(
      /are not of the model and tokens of the statistics/,
    );
  });

  it('with Hessians serve the experts of a mixture, also those that few tokens reach', async () => {
    const model = scratch.path('mixtral');
    await writeRandomModel(model, 'mixtral');
    const calibration = { source: 'random', samples: 3, length: 24 } as const;
    const statistics = scratch.path('mixtral.safetensors');
    await makeStatistics({ model, calibration, out: statistics, hessians: true, registry, backend });
    const options = { trueSequential: false, leastTokens: 30, fewTokensFallback: 'all-experts' };
    const recipe = { quantizer: { name: 'gptq', options }, propagate: 'full', scheme: 'int4-g16-asym' } as const;
    const own = await quantize({ ...recipe, calibration }, 'experts-own', model);
    const reused = await quantize({ ...recipe, statistics }, 'experts-kept', model);
    expect(reused.bytes.equals(own.bytes)).toBe(true);
    const fallbacks = reused.result.tensors.map(({ facts }) => facts?.fallback);
    expect(fallbacks).toEqual(own.result.tensors.map(({ facts }) => facts?.fallback));
    expect(fallbacks).toContain('all-experts');
  });

  it('are what is used: other statistics give other scales', async () => {
    const saved = await readStatistics(file);
    const inputs = new Map(
      [...saved.inputs].map(([name, of]) => [
        name,
        { ...of, sequenceLows: of.sequenceLows.map((x) => 2 * x), sequenceHighs: of.sequenceHighs.map((x) => 2 * x) },
      ]),
    );
    const doubled = scratch.path('doubled.safetensors');
    await writeStatistics(doubled, { ...saved, inputs });
    const recipe = { activations: 'int8-tensor-static', activationCalibrator: { name: 'moving-average', options: {} } };
    const scalesBy = async (statistics: string, name: string) =>
      (await quantize({ ...recipe, statistics }, name)).result.execution?.scales ?? {};
    const [once, twice] = [await scalesBy(file, 'once'), await scalesBy(doubled, 'twice')];
    for (const [name, { scale }] of Object.entries(once)) expect(twice[name].scale / scale).toBeCloseTo(2, 5);
    expect(Object.keys(once)).toHaveLength(28);
  });

  it('give SmoothQuant of a known strength its maxima, and a dynamic grid its rest', async () => {
    const recipe = { transforms: [{ name: 'smoothquant', options: { alpha: 0.5 } }], activations: 'int8-token' };
    expect(await sameEitherWay(recipe, 'smooth')).toEqual([]);
  });

  it.each<[string, RecipeInput, RegExp]>([
    [
      'gptq',
      { quantizer: 'gptq', scheme: 'int4-g64-asym' },
      /gptq quantizes each layer on what the quantized layers before it produce.*8 sequences.*run through the model again/,
    ],
    [
      'awq',
      { transforms: [{ name: 'awq', options: { ratios: 3, clip: false } }], scheme: 'int4-g64-asym' },
      /awq measures outputs of layers/,
    ],
    [
      'smooth-static',
      { transforms: [{ name: 'smoothquant', options: { alpha: 0.5 } }], activations: 'int8-tensor-static' },
      /smoothquant changes the inputs whose static ranges are wanted/,
    ],
  ])('bring %s their tokens, say why the model runs on them again, and change no byte', async (name, recipe, why) => {
    expect(await sameEitherWay(recipe, name)).toEqual([expect.stringMatching(why)]);
  });

  it('are refused for another model, also for one that differs in its norms or weights alone', async () => {
    const twin = scratch.path('twin');
    await writeOutlierTwin(twin);
    await expect(quantize({ statistics: file }, 'twin-q', twin)).rejects.toThrow(/are of .*not of .*norms or biases of its blocks differ/);
    const tuned = scratch.path('tuned');
    await copyModel(tuned);
    await zeroTensor(path.join(tuned, 'model.safetensors'), 'model.layers.2.mlp.up_proj.weight');
    await expect(quantize({ statistics: file }, 'tuned-q', tuned)).rejects.toThrow(/weights of its blocks differ/);
  });

  it('are refused when their tokens are not those of their hash', async () => {
    const saved = await readStatistics(file);
    const damaged = scratch.path('damaged.safetensors');
    await writeStatistics(damaged, { ...saved, sequences: saved.sequences.map((ids) => ids.map((id) => id + 1)) });
    await expect(quantize({ statistics: damaged }, 'damaged-q')).rejects.toThrow(/its tokens are not those of the hash/);
  });

  it('give the scales of static caches when a model is evaluated', async () => {
    const measure = async (kvCache: string) => {
      const execution = { kvCache, statistics: file };
      const found = await evaluateModel({
        model: modelFolder,
        base: modelFolder,
        text: evaluationTextPath,
        maxWindows: 1,
        execution,
        registry,
        backend,
      });
      return found.comparison?.meanKl as number;
    };
    const [eight, four] = [await measure('int8-tensor-static'), await measure('int4-tensor-static')];
    expect(eight).toBeGreaterThan(0);
    expect(four).toBeGreaterThan(10 * eight);
  });
});
