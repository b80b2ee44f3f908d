import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend } from '@calibrant/core';
import type { OutlierDimension } from '@calibrant/outliers';
import { analyzeOutliers, type InjectionOptions, injectOutliers, type OutlierOptions, openModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';
import { int8Errors } from './int8-errors.js';
import { writeRandomModel } from './random-model.js';

const registry = testRegistry();
const calibration = { source: 'file', path: evaluationTextPath, samples: 4, length: 96 } as const;
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let at: (name: string) => string;
const inject = (model: string, out: string, more: Partial<InjectionOptions> = {}) =>
  injectOutliers({ model, out: at(out), registry, backend, ...more });
const analyze = (model: string, more: Partial<OutlierOptions> = {}) => analyzeOutliers({ model, calibration, registry, backend, ...more });

beforeAll(async () => {
  backend = createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
  at = scratch.path;
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

async function logitsOf(model: string, ids = Int32Array.of(5, 60, 7, 33, 12, 1, 40)): Promise<Float32Array> {
  const checkpoint = await openModel(model, { registry, backend });
  const transformer = openTransformer(checkpoint, backend);
  try {
    return (await transformer.logits(ids)).data as Float32Array;
  } finally {
    await transformer.release();
    await checkpoint.close();
  }
}

/** The largest difference, against the largest logit. */
function relativeChange(a: Float32Array, b: Float32Array): number {
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0) / largest;
}

describe('outlier channels that are put into the embedded model', () => {
  it('leave its function, are found in all layers, and spoil per-tensor int8 activations', async () => {
    const { channels, injections } = await inject(modelFolder, 'twin', { channels: 5, factor: 60, seed: 3 });
    expect(channels).toHaveLength(5);
    expect(injections).toHaveLength(8);
    expect(relativeChange(await logitsOf(modelFolder), await logitsOf(at('twin')))).toBeLessThan(1e-5);

    const everywhere = (dimensions: readonly OutlierDimension[]) =>
      dimensions.flatMap(({ layers, dimension }) => (layers === 1 ? [dimension] : []));
    const { comparison, ...before } = await analyze(modelFolder, { compare: at('twin'), weights: false });
    expect(everywhere(before.dimensions)).toEqual([]);
    expect(everywhere(comparison!.after.dimensions).sort((a, b) => a - b)).toEqual(channels);
    // One channel of the embedded model is large by itself.
    expect(comparison!.dimensions.added.length + comparison!.dimensions.kept.length).toBe(comparison!.after.dimensions.length);
    for (const change of comparison!.inputs.filter(({ point, place }) => point.endsWith('Input') && place !== 'head'))
      expect(
        change.channels
          .slice(0, 5)
          .map(({ channel }) => channel)
          .sort((a, b) => a - b),
      ).toEqual(channels);
    const untouched = comparison!.inputs.filter(({ point }) => point === 'mlpHidden');
    for (const { absMax } of untouched) expect(Math.abs(absMax.after / absMax.before - 1)).toBeLessThan(1e-3);

    const [plain, spoiled] = [await int8Errors(modelFolder, backend), await int8Errors(at('twin'), backend)];
    for (const [name, error] of Object.entries(plain)) expect(spoiled[name]).toBeGreaterThan(5 * error);
  });

  it('come out the same from the same seed, and elsewhere from another', async () => {
    const first = await inject(modelFolder, 'seed-a', { seed: 9 });
    expect((await inject(modelFolder, 'seed-a', { seed: 9, force: true })).channels).toEqual(first.channels);
    expect((await inject(modelFolder, 'seed-b', { seed: 10 })).channels).not.toEqual(first.channels);
    expect(await readdir(at('seed-a'))).toEqual(
      expect.arrayContaining(['config.json', 'tokenizer.json', 'calibrant.json', 'model.safetensors']),
    );
    expect(JSON.parse(await readFile(`${at('seed-a')}/config.json`, 'utf8')).torch_dtype).toBe('float32');
  });

  it("keep the source's type on demand, without loss for powers of two, else with a warning", async () => {
    const warnings: string[] = [];
    const onEvent: OutlierOptions['onEvent'] = (event) => 'warning' in event && warnings.push(event.warning);
    await inject(modelFolder, 'bf16', { dtype: 'source', factor: 64, onEvent });
    expect(warnings).toEqual([]);
    expect(relativeChange(await logitsOf(modelFolder), await logitsOf(at('bf16')))).toBeLessThan(1e-5);
    await inject(modelFolder, 'bf16-rounded', { dtype: 'source', factor: 50, onEvent });
    expect(warnings.join()).toMatch(/rounded to bf16.*power of two/);
    expect(JSON.parse(await readFile(`${at('bf16')}/config.json`, 'utf8')).torch_dtype).toBe('bfloat16');
  });
});

describe.each(['gemma2', 'gpt2', 'phi', 'opt', 'mixtral', 'olmo2'])('outlier channels in %s', (name) => {
  it('leave the function as it is, also inside of attention and MLP', async () => {
    await writeRandomModel(at(name), name);
    const logits = await logitsOf(at(name));
    if (name === 'olmo2')
      await expect(inject(at(name), 'refused')).rejects.toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(/--inner/) });
    else {
      const { injections } = await inject(at(name), `${name}-twin`, { factor: 40 });
      expect(injections.every(({ residual }) => residual)).toBe(true);
      expect(relativeChange(logits, await logitsOf(at(`${name}-twin`)))).toBeLessThan(1e-4);
    }
    const { injections } = await inject(at(name), `${name}-inner`, { factor: 40, inner: true });
    expect(injections.filter(({ residual }) => !residual).length).toBeGreaterThanOrEqual(2);
    expect(relativeChange(logits, await logitsOf(at(`${name}-inner`)))).toBeLessThan(1e-4);
    expect(await readdir(at(''))).not.toContain('refused');
  });
});

describe('analyzeOutliers', () => {
  it('describes every weight and every input, and is plain JSON', async () => {
    const result = await analyze(modelFolder);
    expect(result.weights).toHaveLength(29);
    expect(result.inputs.map(({ place, point }) => `${place} ${point}`)).toEqual([
      ...[0, 1, 2, 3].flatMap((block) =>
        ['attentionInput', 'attentionOutput', 'mlpInput', 'mlpHidden'].map((point) => `${block} ${point}`),
      ),
      'head normed',
    ]);
    expect(result.hiddenStates.map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4]);
    expect(result.inputs[0]).toMatchObject({
      tokens: 384,
      width: 256,
      linears: expect.arrayContaining(['model.layers.0.self_attn.q_proj.weight']),
    });
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    // The embedded model's hidden states have one large dimension at first tokens.
    expect(result.hiddenStates[3].peaks[0]).toMatchObject({ dimension: 145, position: 0 });
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('does not depend on the number of lanes', async () => {
    const one = createCpuBackend({ threads: 1 });
    const { seconds: _, ...result } = await analyze(modelFolder, { backend: one });
    await one.close();
    expect({ ...(await analyze(modelFolder)), seconds: 0 }).toEqual({ ...result, seconds: 0 });
  });

  it('names the tokens of massive activations', async () => {
    const { massive } = await analyze(modelFolder, { weights: false, criteria: { massiveValue: 50, massiveRatio: 50 } });
    expect(massive.byDimension[0].dimension).toBe(145);
    expect(massive.byPosition.first).toBeGreaterThanOrEqual(4);
    expect(massive.largest[0]).toMatchObject({ position: 0, token: expect.any(String) });
  });

  it('looks at experts by what is routed to them, and at transposed and fused weights', async () => {
    const random = { source: 'self', samples: 2, length: 16 } as const;
    const mixture = await analyze(at('mixtral'), { calibration: random });
    expect(mixture.inputs.find(({ point }) => point === 'mlpInput')!.linears).toHaveLength(8);
    const routed = mixture.inputs.filter(({ place, point }) => place === 0 && /^expert\dHidden$/.test(point));
    expect(routed.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(2 * 32);
    const gpt2 = await analyze(at('gpt2'), { calibration: random });
    expect(gpt2.weights.find(({ name }) => name.endsWith('0.attn.c_attn.weight'))!.shape).toEqual([96, 32]);
  });

  it('refuses what cannot be compared, and criteria out of range', async () => {
    await expect(analyze(modelFolder, { compare: at('gpt2'), weights: false })).rejects.toThrow(/vocabulary of 4096.*of 64/);
    await expect(analyze(modelFolder, { criteria: { layerShare: 2 } })).rejects.toThrow(/layerShare must be a share/);
    await expect(analyze(at('nothing-here'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('injectOutliers', () => {
  it('refuses more channels than there are, a factor that overflows, and its own source as output', async () => {
    await expect(inject(modelFolder, 'many', { channels: 300 })).rejects.toThrow(/256 channels, cannot choose 300/);
    await expect(inject(modelFolder, 'huge', { factor: 1e39 })).rejects.toMatchObject({ code: 'NUMERICAL' });
    await expect(injectOutliers({ model: at('gpt2'), out: at('gpt2'), force: true, registry, backend })).rejects.toMatchObject({
      code: 'OUTPUT_EXISTS',
    });
    await writeFile(at('file'), '');
    await expect(inject(modelFolder, 'file')).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect((await readdir(at(''))).filter((name) => /many|huge|partial/.test(name))).toEqual([]);
  });
});
