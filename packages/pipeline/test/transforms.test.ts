import { readFile } from 'node:fs/promises';
import { awq } from '@calibrant/awq';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, type Checkpoint, createRng, defineTransform, type RecipeInput, type RunEvent, toF32 } from '@calibrant/core';
import { evaluateModel, openModel, quantizeModel } from '@calibrant/pipeline';
import { smoothquant } from '@calibrant/smoothquant';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { variantModel } from '../../transformer/test/variant-model.js';
import { scaledImportance } from '../src/transform/scaled-importance.js';
import { scratchFolder, testRegistry } from './fixture.js';
import { transformedModel } from './transformed-model.js';

const registry = testRegistry();
const CALIBRATION = { source: 'file', path: evaluationTextPath, samples: 4, length: 64 } as const;
const INT8: RecipeInput = { scheme: 'int8-channel-sym', format: 'compressed-tensors', calibration: CALIBRATION };
const SMOOTH = { name: 'smoothquant', options: { throughLayers: true, alpha: 0.5 } };
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

const run = (recipe: RecipeInput, out: string, more: Partial<Parameters<typeof quantizeModel>[0]> = {}) =>
  quantizeModel({ model: modelFolder, recipe, out: scratch.path(out), registry, backend, ...more });
const measure = async (model: string) =>
  (await evaluateModel({ model, base: modelFolder, text: evaluationTextPath, maxWindows: 2, registry, backend })).comparison!.meanKl;

async function logitsOf(checkpoint: Checkpoint, ids: Int32Array): Promise<Float32Array> {
  const model = openTransformer(checkpoint, backend);
  const logits = toF32(await model.logits(ids));
  await model.release();
  return logits;
}

/** The largest difference, in units of the largest value. */
function relativeDifference(before: Float32Array, after: Float32Array): number {
  const largest = before.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return before.reduce((max, value, i) => Math.max(max, Math.abs(value - after[i])), 0) / largest;
}

describe('a transform that scales channels leaves the function as it is', () => {
  const random = createRng(3);
  const sequences = Array.from({ length: 3 }, () => Int32Array.from({ length: 16 }, () => random.integer(320)));

  it.each([
    ['llama', 0],
    ['gemma2', 0],
    ['mixtral', 0],
    ['qwen2-moe', 0],
    ['phi3', 0],
    ['phi', 2],
    ['gpt2', 4],
    ['gpt-neox', 2],
    ['falcon', 2],
    ['opt', 0],
    ['olmo2', 4],
    ['cohere', 0],
  ])('%s', async (name, leftOut) => {
    const { checkpoint } = variantModel(name, {});
    const { model, facts, warnings } = await transformedModel(
      checkpoint,
      smoothquant(),
      { throughLayers: true, alpha: 0.6 },
      sequences,
      backend,
    );
    const [before, after] = await Promise.all([checkpoint, model].map(async (each) => logitsOf(each, sequences[0])));
    expect(relativeDifference(before, after)).toBeLessThan(1e-4);
    expect(facts.length).toBeGreaterThan(0);
    const layers = warnings.reduce((sum, warning) => sum + Number(/leaves (\d+)/.exec(warning)?.[1] ?? 0), 0);
    expect(layers > 0).toBe(leftOut > 0);
  });

  it('the embedded model, within 1e-4 of its largest logit', async () => {
    const checkpoint = await openModel(modelFolder, { registry, backend });
    const ids = Int32Array.from({ length: 48 }, () => random.integer(1000));
    const { model } = await transformedModel(checkpoint, smoothquant(), SMOOTH.options, [ids], backend);
    const [before, after] = await Promise.all([checkpoint, model].map(async (each) => logitsOf(each, ids)));
    expect(relativeDifference(before, after)).toBeLessThan(1e-4);
    await checkpoint.close();
  });
});

/** Reads the bytes of tensors of a safetensors file by their names. */
async function bytesByName(file: string): Promise<(name: string) => Uint8Array> {
  const bytes = await readFile(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start));
  return (name) => bytes.subarray(...(header[name].data_offsets as [number, number]).map((at) => at + start));
}

describe('transforms in a recipe', () => {
  it('write the norms that they changed, and keep the quality at 8 bits, in safetensors and in GGUF', async () => {
    const safetensors = await run({ ...INT8, transforms: [SMOOTH] }, 'smooth');
    const gguf = await run({ scheme: 'Q8_0', format: 'gguf', transforms: [SMOOTH], calibration: CALIBRATION }, 'smooth-gguf');
    expect(await measure(scratch.path('smooth'))).toBeLessThan(0.002);
    expect(await measure(gguf.files[0])).toBeLessThan(0.001);
    const [source, written] = await Promise.all(
      [modelFolder, scratch.path('smooth')].map((model) => openModel(model, { registry, backend })),
    );
    const name = 'model.layers.1.post_attention_layernorm.weight';
    expect(toF32(await written.read(name))).not.toEqual(toF32(await source.read(name)));
    await Promise.all([source.close(), written.close()]);
    expect(safetensors.transforms?.[0].places.map(({ at }) => at).slice(0, 2)).toEqual([
      'model.layers.0.input_layernorm',
      'model.layers.0.self_attn.v_proj',
    ]);
    const saved = JSON.parse(await readFile(scratch.path('smooth/calibrant.json'), 'utf8'));
    expect(saved.transforms[0].places[0].facts.alpha).toBe(0.5);
  });

  it('and without any, GPTQ on full-precision blocks quantizes the last one as if it were the only one', async () => {
    const recipe: RecipeInput = { ...INT8, quantizer: 'gptq', scheme: 'int4-g64-asym' };
    const bytesOf = async (out: string, more: RecipeInput) => {
      const { files } = await run({ ...recipe, ...more }, out);
      const written = await bytesByName(files[0]);
      return written('model.layers.3.mlp.up_proj.weight_packed');
    };
    const keep = [0, 1, 2].map((block) => `model.layers.${block}.*`);
    const alone = await bytesOf('alone', { keep });
    expect(await bytesOf('full', { propagate: 'full' })).toEqual(alone);
    expect(await bytesOf('quantized', {})).not.toEqual(alone);
  });

  it('come before a calibrated quantizer, on quantized or on full-precision blocks', async () => {
    const keep = ['model.layers.2.*', 'model.layers.3.*'];
    const calibration = { ...CALIBRATION, samples: 16, length: 128 };
    const recipe: RecipeInput = { ...INT8, scheme: 'int4-g128-asym', transforms: [SMOOTH], keep, calibration };
    await run(recipe, 'rtn4');
    const { tensors } = await run({ ...recipe, quantizer: 'gptq' }, 'gptq4');
    expect(tensors.filter(({ facts }) => facts)).toHaveLength(14);
    await run({ ...recipe, quantizer: 'gptq', propagate: 'full' }, 'gptq4-full');
    const [rtn, gptq, full] = await Promise.all(['rtn4', 'gptq4', 'gptq4-full'].map((name) => measure(scratch.path(name))));
    expect(gptq).toBeLessThan(rtn);
    expect(full).not.toBe(gptq);
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('give the same bytes whatever the number of threads', async () => {
    const one = await createCpuBackend({ threads: 1 });
    await run({ ...INT8, transforms: [SMOOTH] }, 'one', { backend: one });
    await one.close();
    const [first, second] = await Promise.all(['one', 'smooth'].map((name) => readFile(scratch.path(`${name}/model.safetensors`))));
    expect(second.equals(first)).toBe(true);
  });

  it('need no calibration set when they observe nothing', async () => {
    const halve = defineTransform<Record<string, never>>({
      name: 'halve',
      meta: { description: 'powers of two', package: 'test' },
      options: z.strictObject({}),
      needs: [],
      accepts: ({ predecessor }) => predecessor.kind === 'norm' || 'norms alone.',
      async apply(block) {
        for (const site of block.sites) await block.fold(site, new Float32Array(site.channels).fill(2));
        return [];
      },
    });
    const own = testRegistry();
    own.add(halve);
    const phases = new Set<string>();
    const onEvent = (event: RunEvent) => 'phase' in event && phases.add(event.phase);
    const result = await run({ scheme: 'int8-channel-sym', format: 'compressed-tensors', transforms: ['halve'] }, 'halved', {
      registry: own,
      onEvent,
    });
    const plain = await run({ scheme: 'int8-channel-sym', format: 'compressed-tensors' }, 'plain');
    expect([...phases].sort()).toEqual(['Checking', 'Copying', 'Quantizing']);
    expect(result.calibration).toBeUndefined();
    expect(await measure(scratch.path('halved'))).toBeCloseTo(await measure(scratch.path('plain')), 12);
    expect(result.bytes).toBe(plain.bytes);
  });

  it('are refused where they fit nowhere, and their options by name', async () => {
    const keepAll = {
      ...INT8,
      overrides: {},
      keep: ['*.q_proj.weight', '*.k_proj.weight', '*.v_proj.weight', '*.gate_proj.weight', '*.up_proj.weight'],
    };
    await expect(run({ ...keepAll, transforms: ['smoothquant'] }, 'bad')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/"smoothquant" fits nowhere.*o_proj.*throughLayers/s),
    });
    await expect(run({ ...INT8, transforms: [{ name: 'smoothquant', options: { aplha: 1 } }] }, 'bad')).rejects.toMatchObject({
      message: expect.stringMatching(/recipe\.transforms\.0\.options\.aplha.*Did you mean "alpha"/),
    });
    await expect(run({ ...INT8, transforms: ['smoothquart'] }, 'bad')).rejects.toMatchObject({ code: 'UNKNOWN_NAME' });
  });
});

describe('AWQ in a recipe', () => {
  const calibration = { source: 'file', path: evaluationTextPath, samples: 8, length: 64 } as const;
  const INT3: RecipeInput = { scheme: 'int3-g128-asym', format: 'compressed-tensors', calibration };

  it('is better than round to nearest, and at no place worse than without', async () => {
    const transforms = [{ name: 'awq', options: { ratios: 8, searchTokens: 256 } }];
    await run(INT3, 'plain3');
    const { transforms: reports } = await run({ ...INT3, transforms }, 'awq3');
    expect(await measure(scratch.path('awq3'))).toBeLessThan(await measure(scratch.path('plain3')));
    const places = reports?.[0].places ?? [];
    const sites = places.filter(({ facts }) => 'loss' in facts);
    expect([sites.length, places.length - sites.length]).toEqual([12, 20]);
    for (const { facts } of sites) expect(facts['loss']).toBeLessThanOrEqual(facts['lossUnscaled'] as number);
    for (const { facts } of places)
      if ('clipError' in facts) expect(facts['clipError']).toBeLessThanOrEqual(facts['clipErrorBefore'] as number);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it.each([
    ['mixtral', {}],
    ['phi', { sharedHeads: true }],
    ['gemma2', { duoScaling: 'both' }],
  ])('leaves the function of %s as it is without clipping', async (name, options) => {
    const random = createRng(2);
    const sequences = Array.from({ length: 2 }, () => Int32Array.from({ length: 16 }, () => random.integer(320)));
    const { checkpoint } = variantModel(name, {});
    const given = { ratios: 4, clip: false, ...options };
    const grid = { kind: 'affine', bits: 3, granularity: 'channel', symmetric: false } as const;
    const { model, facts } = await transformedModel(checkpoint, awq(), given, sequences, backend, grid);
    const [before, after] = await Promise.all([checkpoint, model].map(async (each) => logitsOf(each, sequences[0])));
    expect(relativeDifference(before, after)).toBeLessThan(1e-4);
    expect(facts.some(({ facts: { ratio } }) => ratio !== 'none')).toBe(true);
  });
});

describe('an importance matrix of a model whose channels were scaled', () => {
  it('has its sums divided by the squares of the factors, by expert', () => {
    const matrix = {
      entries: new Map([['w', { sums: Float64Array.of(4, 9, 16, 25), counts: Float64Array.of(1, 1) }]]),
      datasets: [],
      chunks: 1,
      chunkSize: 1,
    };
    const planned = [{ name: 'w', stacked: ['a', 'b'], shape: [2, 1, 2], scheme: { kind: 'float', dtype: 'f32' } as const }];
    const factors = new Map([
      ['a', Float64Array.of(2, 3)],
      ['b', Float64Array.of(4, 1)],
    ]);
    expect([...scaledImportance(matrix, planned, factors).entries.get('w')!.sums]).toEqual([1, 1, 1, 25]);
  });
});
