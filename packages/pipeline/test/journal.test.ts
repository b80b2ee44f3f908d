import { access, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { Backend, FormatWriter, RecipeInput } from '@calibrant/core';
import { type QuantizeOptions, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openJournal } from '../src/journal/journal.js';
import { nothingYet } from '../src/run/blocks.js';
import type { CalibrationSummary } from '../src/run/calibration.js';
import { copyModel, scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  backend = createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
  await copyModel(scratch.path('model'));
  await writeFile(scratch.path('text.txt'), await readFile(evaluationTextPath));
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

const text = () => ({ source: 'file' as const, path: scratch.path('text.txt'), samples: 4, length: 64, seed: 0 });

/** Runs a recipe with notes after every block. Returns the warnings of the journal. */
async function run(recipe: RecipeInput, out: string, options: Partial<QuantizeOptions> = {}): Promise<string[]> {
  const said: string[] = [];
  await quantizeModel({
    model: scratch.path('model'),
    recipe,
    out: scratch.path(out),
    journalEvery: 0,
    registry,
    backend,
    ...options,
    onEvent(event) {
      if ('warning' in event && event.item === 'journal') said.push(event.warning);
      options.onEvent?.(event);
    },
  });
  return said;
}

/** Runs it until a tensor of a block (from 0) is done, and stops it there. */
async function stopIn(block: number, recipe: RecipeInput, out: string): Promise<void> {
  const controller = new AbortController();
  const stopped = run(recipe, out, {
    signal: controller.signal,
    onEvent: (event) => {
      if ('phase' in event && event.phase === 'Quantizing' && event.item?.includes(`layers.${block}.`)) controller.abort();
    },
  });
  await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
}

async function filesOf(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of await readdir(scratch.path(folder))) {
    const bytes = await readFile(scratch.path(`${folder}/${name}`));
    files.set(name, name === 'calibrant.json' ? JSON.stringify({ ...JSON.parse(bytes.toString()), files: [] }) : bytes.toString('base64'));
  }
  return files;
}

const exists = (name: string) =>
  access(scratch.path(name)).then(
    () => true,
    () => false,
  );

describe('a run that was stopped', () => {
  const recipes: [string, () => RecipeInput][] = [
    [
      'GPTAQ',
      () => ({
        quantizer: { name: 'gptq', options: { asymmetricCalibration: true } },
        scheme: 'int4-g128-asym',
        format: 'compressed-tensors',
        calibration: text(),
      }),
    ],
    ['GPTQ in GGUF blocks', () => ({ quantizer: 'gptq', scheme: 'Q4_K_M', format: 'gguf', calibration: text() })],
    [
      'a transform, static grids and text of the model itself',
      () => ({
        transforms: ['smoothquant'],
        quantizer: 'rtn',
        scheme: 'int8-channel-sym',
        activations: 'int8-tensor-static',
        format: 'compressed-tensors',
        calibration: { source: 'self', samples: 4, length: 32, seed: 3 },
      }),
    ],
  ];

  it.each(recipes)('goes on behind the last finished block and writes the same bytes: %s', async (name, recipe) => {
    const [whole, stopped] = [`${name} whole`, `${name} stopped`];
    expect(await run(recipe(), whole)).toEqual([]);
    await stopIn(2, recipe(), stopped);
    expect([await exists(stopped), await exists(`.${stopped}.journal`)]).toEqual([false, true]);
    expect(await run(recipe(), stopped)).toEqual([expect.stringContaining('2 of 4 blocks done')]);
    expect(await filesOf(stopped)).toEqual(await filesOf(whole));
    expect(await exists(`.${stopped}.journal`)).toBe(false);
  });

  const gptq = (changes: RecipeInput = {}): RecipeInput => ({ ...recipes[0][1](), quantizer: 'gptq', ...changes });

  it('is begun anew by another recipe, with other text, and with another model', async () => {
    await stopIn(1, gptq(), 'changed');
    expect(await run(gptq({ scheme: 'int3-g128-asym' }), 'changed')).toEqual([]);
    await stopIn(1, gptq(), 'other-text');
    await writeFile(scratch.path('text.txt'), `Another beginning. ${await readFile(scratch.path('text.txt'), 'utf8')}`);
    expect(await run(gptq(), 'other-text')).toEqual([]);
    await stopIn(1, gptq(), 'other-model');
    await copyModel(scratch.path('edited'));
    const config = JSON.parse(await readFile(scratch.path('edited/config.json'), 'utf8'));
    await writeFile(scratch.path('edited/config.json'), JSON.stringify({ ...config, rms_norm_eps: 2e-5 }));
    expect(await run(gptq(), 'other-model', { model: scratch.path('edited') })).toEqual([]);
  });

  it('on other text leaves nothing to go on from, even when it is killed before its first note', async () => {
    const open = async () => (await openJournal(scratch.path('.changing.journal'), { key: 'same', every: 0 }))!;
    const of = (sha256: string) => async () => ({ sequences: [], summary: { sha256 } as CalibrationSummary });
    const first = await open();
    await first.calibrated('file', of('first'));
    await first.finished({ blocks: 1, tensors: 0, result: nothingYet(0), states: [] });
    await (await open()).calibrated('file', of('second'));
    const again = await open();
    await again.calibrated('file', of('first'));
    expect(await again.replay({} as FormatWriter, [])).toBeUndefined();
    expect(await again.close(false)).toBe(false);
  });

  it('says that a damaged journal is damaged, and leaves no output', async () => {
    await stopIn(1, gptq(), 'damaged');
    await truncate(scratch.path('.damaged.journal/writes'), 1000);
    await expect(run(gptq(), 'damaged')).rejects.toThrow(/journal of an earlier run, .*\.damaged\.journal, is damaged. Remove it/);
    expect(await exists('damaged')).toBe(false);
    expect(await run(gptq(), 'damaged', { journalEvery: undefined })).toEqual([]);
  });

  it('leaves no journal where no block was finished', async () => {
    await stopIn(0, gptq(), 'early');
    expect(await exists('.early.journal')).toBe(false);
  });

  it('shares its journal with no run that is under way', async () => {
    await stopIn(1, gptq(), 'shared');
    await writeFile(scratch.path('.shared.journal/owner'), String(process.ppid));
    expect(await run(gptq(), 'shared')).toEqual([expect.stringContaining('another run is writing')]);
    expect(await exists('.shared.journal')).toBe(true);
  });
});
