import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, CalibrantError, type RecipeInput, type RunEvent } from '@calibrant/core';
import { evaluateModel, openModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { checkDiskSpace } from '../src/plan/check-disk-space.js';
import { copyModel, scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
const INT4: RecipeInput = { scheme: 'int4-g128-asym', format: 'compressed-tensors' };
const GPTQ: RecipeInput = { ...INT4, quantizer: 'gptq', calibration: { source: 'self', samples: 32, length: 128, seed: 1 } };
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
const measure = (model: string) => evaluateModel({ model, base: modelFolder, text: evaluationTextPath, maxWindows: 4, registry, backend });
async function failure(promise: Promise<unknown>): Promise<CalibrantError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  if (!CalibrantError.isInstance(error)) throw new Error(`expected a CalibrantError, got ${error}`);
  return error;
}
async function hashes(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  const entries = names.map(async (name) => [
    name,
    createHash('sha256')
      .update(await readFile(path.join(folder, name)))
      .digest('hex'),
  ]);
  return Object.fromEntries(await Promise.all(entries));
}

describe('quantizing the embedded model', () => {
  it('writes a GGUF file that is almost as good as the original at 8 bits', async () => {
    const result = await run({ scheme: 'Q8_0', format: 'gguf' }, 'q8');
    expect(result.bitsPerWeight).toBeCloseTo(8.5, 1);
    const { comparison, perplexity } = await measure(result.files[0]);
    expect(comparison?.meanKl).toBeLessThan(0.001);
    expect(Math.abs(perplexity.perplexity / comparison!.basePerplexity - 1)).toBeLessThan(0.003);
  });

  it('gives a smaller divergence by GPTQ than by RTN on the same grid', async () => {
    await run(INT4, 'rtn');
    const events: RunEvent[] = [];
    const result = await run(GPTQ, 'gptq', { onEvent: (event) => events.push(event) });
    const [rtn, gptq] = [await measure(scratch.path('rtn')), await measure(scratch.path('gptq'))];
    expect(gptq.comparison!.meanKl).toBeLessThan(0.85 * rtn.comparison!.meanKl);
    expect(result.calibration?.sequences).toBe(32);
    expect(events.some((event) => 'warning' in event && /32/.test(event.warning))).toBe(true);
  });

  it('reports per layer that the calibrated error is not above rounding to nearest', async () => {
    const saved = JSON.parse(await readFile(scratch.path('gptq/calibrant.json'), 'utf8'));
    const layers = saved.tensors.filter((tensor: { facts?: unknown }) => tensor.facts);
    expect(layers).toHaveLength(28);
    for (const { facts } of layers) expect(facts.error).toBeLessThanOrEqual(facts.rtnError * (1 + 1e-4));
  });

  it('writes the same bytes whatever the number of threads', async () => {
    const one = await createCpuBackend({ threads: 1 });
    const three = await createCpuBackend({ threads: 3 });
    try {
      await run(GPTQ, 'one', { backend: one });
      await run(GPTQ, 'three', { backend: three });
    } finally {
      await Promise.all([one.close(), three.close()]);
    }
    expect(await hashes(scratch.path('three'))).toEqual(await hashes(scratch.path('one')));
  });

  it('leaves no buffer behind', async () => {
    await backend.sync();
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('keeps the tensors that a pattern names', async () => {
    const result = await run({ ...INT4, keep: ['model.layers.0.*', '*.down_proj.weight'] }, 'kept');
    const quantized = result.tensors.filter(({ scheme }) => scheme.startsWith('int4'));
    expect(quantized.map(({ name }) => name).filter((name) => /layers\.0\.|down_proj/.test(name))).toEqual([]);
    expect(quantized).toHaveLength(18);
  });

  it('takes another grid for the tensors that an override names', async () => {
    const result = await run({ ...INT4, overrides: { '*.down_proj.weight': 'int8-channel-sym' } }, 'mixed');
    expect(result.tensors.filter(({ scheme }) => scheme === 'int8-channel-sym')).toHaveLength(4);
    expect((await measure(scratch.path('mixed'))).perplexity.perplexity).toBeGreaterThan(0);
  });

  it('only plans in a dry run', async () => {
    const result = await run(INT4, 'dry', { dryRun: true });
    expect(result.bytes).toBeGreaterThan(1e6);
    expect(await readdir(scratch.path('.'))).not.toContain('dry');
  });
});

describe('bad input leaves nothing behind and says what to do', () => {
  afterAll(async () => {
    const left = (await readdir(scratch.path('.'))).filter((name) => name.startsWith('.') || name === 'bad');
    expect(left).toEqual([]);
  });

  it('names a missing folder', async () => {
    const error = await failure(run(INT4, 'bad', { model: scratch.path('nowhere') }));
    expect(error.code).toBe('NOT_FOUND');
    expect(error.message).toContain('nowhere');
  });

  it('finds a file that is cut off', async () => {
    await copyModel(scratch.path('cut'));
    const file = await open(scratch.path('cut/model.safetensors'), 'r+');
    await file.truncate(5_000_000);
    await file.close();
    const error = await failure(run(INT4, 'bad', { model: scratch.path('cut') }));
    expect(error.code).toBe('CORRUPT_FILE');
    expect(error.message).toMatch(/5,?000,?000/);
  });

  it.each([
    ['safetensors', INT4],
    ['gguf', { scheme: 'Q4_K_M', format: 'gguf' } satisfies RecipeInput],
    ['calibrated', GPTQ],
  ])('counts NaN weights and names the tensor and its file, before any calibration (%s)', async (_, recipe) => {
    const folder = scratch.path('nan');
    await copyModel(folder);
    const file = await open(path.join(folder, 'model.safetensors'), 'r+');
    const length = Number(Buffer.from((await file.read(Buffer.alloc(8), 0, 8, 0)).buffer).readBigUInt64LE());
    const header = JSON.parse((await file.read(Buffer.alloc(length), 0, length, 8)).buffer.toString());
    const name = 'model.layers.2.mlp.up_proj.weight';
    await file.write(Buffer.from([0xc0, 0x7f, 0x80, 0x7f]), 0, 4, 8 + length + header[name].data_offsets[0] + 64);
    await file.close();
    const phases = new Set<string>();
    const onEvent = (event: RunEvent) => 'phase' in event && phases.add(event.phase);
    const error = await failure(run(recipe, 'bad', { model: folder, onEvent }));
    expect(error.code).toBe('NON_FINITE');
    expect(error.message).toContain(`${name} of model.safetensors`);
    expect([...phases].filter((phase) => !/^(Quantizing|Copying|Checking)$/.test(phase))).toEqual([]);
    expect(error.message).toMatch(/\b2\b/);
  });

  it('lists the architectures that it knows', async () => {
    await copyModel(scratch.path('odd'));
    const config = JSON.parse(await readFile(scratch.path('odd/config.json'), 'utf8'));
    await writeFile(
      scratch.path('odd/config.json'),
      JSON.stringify({ ...config, model_type: 'whale', architectures: ['WhaleForCausalLM'] }),
    );
    const error = await failure(run(INT4, 'bad', { model: scratch.path('odd') }));
    expect(error.code).toBe('UNSUPPORTED');
    expect(error.message).toMatch(/whale/i);
    expect(error.message).toMatch(/llama/i);
  });

  it('says which tensors a group size does not divide and what would', async () => {
    const error = await failure(run({ ...INT4, scheme: 'int4-g96-asym' }, 'bad'));
    expect(error.message).toMatch(/group size 96 does not divide.*q_proj.*256/s);
    expect(error.message).toMatch(/128/);
  });

  it('refuses an output folder that is not empty', async () => {
    await run({ scheme: 'Q8_0', format: 'gguf' }, 'full');
    const error = await failure(run({ scheme: 'Q8_0', format: 'gguf' }, 'full'));
    expect(error.code).toBe('OUTPUT_EXISTS');
    expect(error.message).toContain('--force');
    await run({ scheme: 'Q4_0', format: 'gguf' }, 'full', { force: true });
    expect((await readdir(scratch.path('full'))).filter((name) => name.endsWith('.gguf'))).toHaveLength(1);
  });

  it('never replaces what it reads, or a folder that it did not write, even with force', async () => {
    await copyModel(scratch.path('source/model'));
    for (const out of ['source/model', 'source']) {
      const error = await failure(run({ scheme: 'Q8_0' }, out, { model: scratch.path('source/model'), force: true }));
      expect([error.code, error.message]).toEqual(['OUTPUT_EXISTS', expect.stringContaining('which the output is made from')]);
    }
    await mkdir(scratch.path('thesis'));
    await writeFile(scratch.path('thesis/chapter.txt'), 'years of work');
    const error = await failure(run({ scheme: 'Q8_0' }, 'thesis', { force: true }));
    expect(error.message).toMatch(/chapter\.txt and no calibrant\.json/);
    expect(await readdir(scratch.path('thesis'))).toEqual(['chapter.txt']);
    expect(await readdir(scratch.path('source/model'))).toContain('model.safetensors');
  });

  it('says how much room is missing on a disk that is too small', async () => {
    await expect(
      checkDiskSpace(scratch.path('.'), [{ name: 't', shape: [2 ** 25, 2 ** 26], scheme: { kind: 'float', dtype: 'f32' } }]),
    ).rejects.toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringMatching(/needs about 9007199\.25 GB and the disk has [\d.]+ GB free/),
    });
  });

  it('names an unknown option by its path, with the nearest known one', async () => {
    const error = await failure(run({ ...GPTQ, quantizer: { name: 'gptq', options: { dampPercnt: 0.1 } } }, 'bad'));
    expect(error.code).toBe('INVALID_RECIPE');
    expect(error.message).toMatch(/recipe\.quantizer\.options\.dampPercnt.*dampPercent/s);
  });

  it('names an unknown method with the nearest known one', async () => {
    expect((await failure(run({ ...INT4, quantizer: 'gptk' }, 'bad'))).message).toMatch(/"gptk".*"gptq"/s);
  });

  it('says that GGUF does not hold integer grids', async () => {
    expect((await failure(run({ ...INT4, format: 'gguf' }, 'bad'))).message).toMatch(/gguf.*cannot hold/s);
  });

  it('refuses to measure in windows longer than the positions of the model', async () => {
    const error = await failure(evaluateModel({ model: modelFolder, text: evaluationTextPath, windowSize: 1025, registry, backend }));
    expect([error.code, error.message]).toEqual(['INVALID_ARGUMENT', expect.stringMatching(/1025 .* 1024 positions .*--window-size 1024/)]);
  });

  it('stops when it is cancelled', async () => {
    const abort = new AbortController();
    const onEvent = (event: RunEvent) => {
      if ('phase' in event && event.phase === 'Quantizing' && event.done > 0) abort.abort();
    };
    expect((await failure(run(GPTQ, 'bad', { signal: abort.signal, onEvent }))).code).toBe('ABORTED');
  });

  it('reads a model that was quantized, too', async () => {
    const checkpoint = await openModel(scratch.path('rtn'), { registry, backend });
    const { dtype, storage } = checkpoint.tensors.get('model.layers.0.mlp.up_proj.weight')!;
    await checkpoint.close();
    expect(dtype).toBe('f32');
    expect(storage).toMatch(/int4/);
  });
});
