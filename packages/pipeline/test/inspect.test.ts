import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createReferenceBackend } from '@calibrant/core';
import { inspectModel, quantizeModel } from '@calibrant/pipeline';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';

const options = { registry: testRegistry(), backend: createReferenceBackend() };
const weights = path.join(modelFolder, 'model.safetensors');
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  scratch = await scratchFolder();
});
afterAll(() => scratch.clean());

const inspect = (model: string) => inspectModel({ model, ...options });

describe('inspectModel', () => {
  it('reads a safetensors file by its content, whatever its name', async () => {
    await copyFile(weights, scratch.path('weights.part'));
    const { architecture, tensors, types, bytes } = await inspect(scratch.path('weights.part'));
    const model = await inspect(modelFolder);
    expect(architecture).toBe('unknown');
    expect({ types, bytes }).toEqual({ types: model.types, bytes: model.bytes });
    const byName = (list: typeof tensors) => new Map(list.map(({ name, shape, type }) => [name, { shape, type }]));
    expect(byName(tensors)).toEqual(byName(model.tensors));
  });

  it('reads all safetensors files of a folder without config.json', async () => {
    await mkdir(scratch.path('bare'));
    for (const name of ['first', 'second']) await copyFile(weights, scratch.path(`bare/${name}.safetensors`));
    const { architecture, tensors } = await inspect(scratch.path('bare'));
    const model = await inspect(modelFolder);
    expect([architecture, tensors.length]).toEqual(['unknown', 2 * model.tensors.length]);
    expect(new Set(tensors.map(({ file }) => file))).toEqual(new Set(['first.safetensors', 'second.safetensors']));
  });

  it('shows the headers of a GGUF file that is no model for it, with the reason', async () => {
    const model = await quantizeModel({
      model: modelFolder,
      out: scratch.path('q'),
      recipe: { scheme: 'F16', format: 'gguf' },
      ...options,
    });
    const bytes = await readFile(model.files[0]);
    await writeFile(scratch.path('other.gguf'), Buffer.from(bytes.toString('latin1').replaceAll('llama', 'lucky'), 'latin1'));
    const { architecture, parameters, shape, types, tensors, note } = await inspect(scratch.path('other.gguf'));
    const known = await inspect(model.files[0]);
    expect([architecture, parameters, shape['layers']]).toEqual(['lucky', known.parameters, 4]);
    expect([types, known.note]).toEqual([known.types, undefined]);
    expect(tensors.map(({ name }) => name)).toContain('blk.0.attn_q.weight');
    expect(note).toMatch(/architecture "lucky" cannot be read as a checkpoint/);
    await writeFile(scratch.path('cut.gguf'), bytes.subarray(0, 200_000));
    await expect(inspect(scratch.path('cut.gguf'))).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      message: expect.stringMatching(/truncated/),
    });
  });

  it('says of a file what is wrong with it', async () => {
    await writeFile(scratch.path('empty.gguf'), '');
    await writeFile(scratch.path('short.safetensors'), 'abc');
    await writeFile(scratch.path('notes.txt'), 'neither this nor that');
    await mkdir(scratch.path('nothing'));
    await expect(inspect(scratch.path('empty.gguf'))).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      message: expect.stringMatching(/is empty/),
    });
    await expect(inspect(scratch.path('short.safetensors'))).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
    await expect(inspect(scratch.path('notes.txt'))).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(inspect(scratch.path('nothing'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
