import { createReferenceBackend } from '@calibrant/core';
import { mergeGguf, readGguf, readGgufModel } from '@calibrant/gguf-format';
import { describe, expect, it } from '@jest/globals';
import { convert, memoryCheckpoint } from './convert-model.js';
import { folderSource, memoryFolder, memorySource } from './memory-files.js';
import { randomTensors, TINY } from './random-model.js';

const backend = createReferenceBackend();
const config = { ...TINY, model_type: 'llama', rope_theta: 10000 };
const plain = memoryCheckpoint(config, randomTensors(config));

async function converted(format: Record<string, unknown>, checkpoint = plain) {
  const folder = memoryFolder();
  const { files } = await convert(checkpoint, folder, backend, { format: { tokenizer: 'none', ...format } });
  for (const [name, sink] of folder.files) expect([sink.closed, folder.sizes.get(name)]).toEqual([true, sink.bytes().length]);
  return { files, contents: new Map([...folder.files].map(([name, sink]) => [name, sink.bytes()])) };
}

async function merged(contents: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const folder = memoryFolder();
  await mergeGguf(await readGgufModel(folderSource(contents, [...contents.keys()][0])), folder, { fileName: 'merged' });
  return folder.files.get('merged')?.bytes() ?? new Uint8Array();
}

describe('a conversion to several files', () => {
  it.each([{ splitMaxTensors: 5 }, { splitMaxSize: '40kB' }])('with %j holds what one file does', async (limits) => {
    const whole = (await converted({})).contents.get('model.gguf') ?? new Uint8Array();
    const { files, contents } = await converted(limits);
    expect(files.length).toBeGreaterThan(2);
    const digits = String(files.length).padStart(5, '0');
    expect(files).toEqual(files.map((_, i) => `model-${String(i + 1).padStart(5, '0')}-of-${digits}.gguf`));
    expect(Buffer.from(await merged(contents)).equals(whole)).toBe(true);
    for (const bytes of contents.values()) {
      const { tensors } = await readGguf(memorySource(bytes));
      if (limits.splitMaxTensors) expect(tensors.size).toBeLessThanOrEqual(5);
      else if (tensors.size > 1) expect([...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0)).toBeLessThanOrEqual(40_000);
    }
  });

  it('stays one file where the limit is not reached', async () => {
    expect((await converted({ splitMaxSize: '1GB' })).files).toEqual(['model.gguf']);
    expect((await converted({ keepSplit: true })).files).toEqual(['model.gguf']);
  });

  it('keeps the files of the source', async () => {
    const second = (name: string) => name.startsWith('model.layers.1.');
    const infos = [...plain.tensors].map(([name, info]) => [name, { ...info, file: second(name) ? 'b-2' : 'b-1' }] as const);
    const { files, contents } = await converted({ keepSplit: true, fileName: 'kept.gguf' }, { ...plain, tensors: new Map(infos) });
    expect(files).toEqual(['kept-00001-of-00002.gguf', 'kept-00002-of-00002.gguf']);
    const [first, other] = await Promise.all([...contents.values()].map((bytes) => readGguf(memorySource(bytes))));
    expect([...first.tensors.keys()].some((name) => name.startsWith('blk.1.'))).toBe(false);
    expect([...other.tensors.keys()].every((name) => name.startsWith('blk.1.'))).toBe(true);
    expect([...other.metadata.keys()]).toEqual(['split.no', 'split.count', 'split.tensors.count']);
  });

  it('takes one way of cutting', async () => {
    await expect(converted({ keepSplit: true, splitMaxTensors: 3 })).rejects.toThrow(/leave out splitMaxSize and splitMaxTensors/);
    await expect(converted({ splitMaxSize: 'much' })).rejects.toThrow(/must be a size such as 2GB/);
  });
});
