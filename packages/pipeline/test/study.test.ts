import { readFile, writeFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend, RunEvent } from '@calibrant/core';
import { studyCalibration } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
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

  it('refuses sets, methods and models that cannot be told apart or are not there', async () => {
    await expect(studyCalibration({ ...options(), sets: ['nowhere.txt'] })).rejects.toThrow(/nowhere\.txt.*shuffled:FILE/);
    await expect(studyCalibration({ ...options(), methods: ['gptqq'] })).rejects.toThrow(/Did you mean "gptq"/);
    await expect(studyCalibration({ ...options(), methods: ['rtn+gptq'] })).rejects.toThrow(/two quantizers/);
    await expect(studyCalibration({ ...options(), models: [modelFolder, modelFolder] })).rejects.toThrow(/Rename one/);
  });
});
