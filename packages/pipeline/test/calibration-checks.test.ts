import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend, RecipeInput, RunEvent } from '@calibrant/core';
import { quantizeModel } from '@calibrant/pipeline';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';

const text = path.join(modelFolder, '..', 'evaluation.txt');
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  backend = createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

async function planned(recipe: RecipeInput, dryRun = true): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  const run = { model: modelFolder, out: scratch.path('out'), dryRun, registry: testRegistry(), backend };
  await quantizeModel({ ...run, recipe, onEvent: (event) => events.push(event) });
  return events;
}
const from = (file: string) => ({ source: 'file' as const, path: file, samples: 4, length: 32 });
const warningsOf = (events: RunEvent[]) => events.flatMap((event) => ('warning' in event ? [event.warning] : []));

it('a plan alone reads the calibration text too, and warns of it; where nothing observes the model it is left alone', async () => {
  const gptq = { quantizer: 'gptq', calibration: from('missing.txt') };
  await expect(planned(gptq)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await planned({ ...gptq, quantizer: 'rtn', scheme: 'int4-g128-asym' });
  expect(warningsOf(await planned({ ...gptq, calibration: from(text) }))).toEqual([expect.stringMatching(/^Calibrating on 4 sequences/)]);
});

it('a calibration text that is missing is said before any tensor is worked on', async () => {
  const events: RunEvent[] = [];
  const run = { model: modelFolder, out: scratch.path('out'), registry: testRegistry(), backend };
  const recipe = { quantizer: 'gptq', calibration: from('missing.txt') };
  await expect(quantizeModel({ ...run, recipe, onEvent: (event) => events.push(event) })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(events).toEqual([]);
  expect(await readdir(scratch.path('.'))).toEqual([]);
});

it('static ranges without anything else to calibrate report the blocks that they pass through', async () => {
  const recipe = { scheme: 'fp8-tensor', activations: 'fp8-tensor-static', format: 'compressed-tensors', calibration: from(text) };
  const blocks = (await planned(recipe, false)).filter((event) => 'phase' in event && event.phase === 'Observing inputs');
  expect(blocks.map((event) => 'done' in event && event.done)).toEqual([0, 1, 2, 3, 4]);
});

it('options of calibration that do nothing are warned about', async () => {
  const idle = { quantizer: 'rtn', scheme: 'int4-g128-asym', propagate: 'full', roundedCalibration: true } as const;
  expect(warningsOf(await planned(idle))).toEqual([
    expect.stringMatching(/^propagate has no effect/),
    expect.stringMatching(/^roundedCalibration has no effect/),
  ]);
  const used = { ...idle, quantizer: 'gptq', activations: 'int8-token', calibration: from(text) };
  expect(warningsOf(await planned(used)).join()).not.toMatch(/no effect/);
});
