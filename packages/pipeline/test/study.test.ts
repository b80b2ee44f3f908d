import { readFile, writeFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend, RecipeInput, RunEvent } from '@calibrant/core';
import { type NamedRecipe, studyCalibration } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { studyMethod } from '../src/study/method-recipe.js';
import { prepareSets } from '../src/study/study-sets.js';
import { scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let calibrationText: string;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
  calibrationText = scratch.path('calibration.txt');
  // The other half of the text than the one that is measured.
  await writeFile(calibrationText, (await readFile(evaluationTextPath, 'utf8')).slice(13_000));
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

const options = () => ({
  models: [modelFolder],
  sets: [calibrationText, 'nonsense'],
  methods: ['rtn', 'gptq'],
  texts: [evaluationTextPath],
  scheme: 'int3-g128-asym',
  samples: [8],
  length: 128,
  seeds: [0],
  maxWindows: 2,
  saved: scratch.path('study.json'),
  registry,
  backend,
});

describe('a study of calibration sets', () => {
  it('measures every method on every set, finds text better than nonsense, and goes on where it was stopped', async () => {
    const stop = new AbortController();
    const onEvent = (event: RunEvent) => {
      if ('done' in event && event.phase === 'Studying' && event.done === 2) stop.abort(new Error('stopped'));
    };
    await expect(studyCalibration({ ...options(), onEvent, signal: stop.signal })).rejects.toThrow();
    const half = JSON.parse(await readFile(scratch.path('study.json'), 'utf8'));
    expect(half.runs).toHaveLength(2);

    const { runs } = await studyCalibration(options());
    expect(runs.map(({ method, set }) => [method, set])).toEqual([
      ['rtn', undefined],
      ['gptq', 'calibration'],
      ['gptq', 'nonsense'],
    ]);
    expect(runs.slice(0, 2)).toEqual(half.runs);
    const [rtn, text, nonsense] = runs.map(({ meanKl }) => meanKl.value);
    expect(text).toBeLessThan(nonsense);
    expect(text).toBeLessThan(rtn);
  }, 180_000);

  it('shuffles the words of a text, and makes nonsense that depends on the seed alone', async () => {
    const sets = await prepareSets([`shuffled:${calibrationText}`, 'nonsense', 'self'], scratch.path(''), 1);
    const words = (text: string) => text.split(/\s+/).filter(Boolean).sort();
    const shuffled = await readFile(sets[0].calibration.path!, 'utf8');
    expect(words(shuffled)).toEqual(words(await readFile(calibrationText, 'utf8')));
    const first = await readFile(sets[1].calibration.path!, 'utf8');
    expect(first).toMatch(/^[\x20-\x7e]{1000000,}$/);
    expect(sets[2].calibration).toEqual({ source: 'self' });
    const [again] = await prepareSets(['nonsense'], scratch.path(''), 1);
    expect((await readFile(again.calibration.path!, 'utf8')) === first).toBe(true);
  });

  it('puts a twin with outliers beside a model, on random tokens, by a recipe with a scheme of its own', async () => {
    const recipe: RecipeInput = { quantizer: 'rtn', scheme: 'int8-channel-sym', activations: 'int8-tensor-static' };
    const { saved: _, ...rest } = options();
    const study = await studyCalibration({
      ...rest,
      outlierTwin: { channels: 4, factor: 50 },
      sets: ['random'],
      methods: [{ name: 'w8a8', recipe }],
      maxWindows: 1,
    });
    expect(study.models).toEqual(['tiny-llama', 'tiny-llama with outliers']);
    expect(study.recipes).toMatchObject({ w8a8: { scheme: 'int8-channel-sym' } });
    const [plain, twin] = study.runs;
    expect([plain.set, plain.method, twin.model]).toEqual(['random', 'w8a8', 'tiny-llama with outliers']);
    // The twin computes the same; one scale for all channels does not serve its outliers.
    expect(twin.basePerplexity).toBeCloseTo(plain.basePerplexity, 2);
    expect(twin.meanKl.value).toBeGreaterThan(2 * plain.meanKl.value);
    expect(plain.cpuSeconds).toBeGreaterThan(0);
  }, 120_000);

  it('knows which methods a calibration set changes', () => {
    const calibrated = (method: string | NamedRecipe) => studyMethod(method, registry).calibrated;
    expect(['rtn', 'rtn-w4g128', 'gptq', 'awq', 'gptq-w4g128'].map(calibrated)).toEqual([false, false, true, true, true]);
    const grids = (activations: string) => calibrated({ name: 'x', recipe: { scheme: 'int8-channel-sym', activations } });
    expect([grids('int8-token'), grids('int8-tensor-static')]).toEqual([false, true]);
  });

  it('refuses sets, methods and models that cannot be told apart or are not there', async () => {
    await expect(studyCalibration({ ...options(), sets: ['nowhere.txt'] })).rejects.toThrow(/nowhere\.txt.*shuffled:FILE/);
    await expect(studyCalibration({ ...options(), methods: ['gptqq'] })).rejects.toThrow(/Did you mean "gptq"/);
    await expect(studyCalibration({ ...options(), methods: ['rtn+gptq'] })).rejects.toThrow(/two quantizers/);
    await expect(studyCalibration({ ...options(), models: [modelFolder, modelFolder] })).rejects.toThrow(/Rename one/);
  });
});
