import { type ByteSource, createReferenceBackend } from '@calibrant/core';
import { mergeGguf, openGgufCheckpoint, parseSize, readGguf, readGgufModel, splitGguf } from '@calibrant/gguf-format';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { folderSource, memoryFolder, memorySource } from './memory-files.js';
import { smallModel } from './small-model.js';

const backend = createReferenceBackend();
let whole: Uint8Array;
beforeAll(async () => {
  whole = await smallModel();
});

async function split(limits: { maxBytes?: number; maxTensors?: number }, bytes = whole): Promise<Map<string, Uint8Array>> {
  const folder = memoryFolder();
  await splitGguf(await readGgufModel(memorySource(bytes)), folder, { prefix: 'small', ...limits });
  return new Map([...folder.files].map(([name, sink]) => [name, sink.bytes()]));
}

async function merged(files: ReadonlyMap<string, Uint8Array>, from: string): Promise<Uint8Array> {
  const folder = memoryFolder();
  await mergeGguf(await readGgufModel(folderSource(files, from)), folder, { fileName: 'whole.gguf' });
  return folder.files.get('whole.gguf')?.bytes() ?? new Uint8Array();
}

describe('a split model', () => {
  it("has llama.cpp's names and keys, the metadata in the first part, and merges to the same bytes from any part", async () => {
    const files = await split({ maxTensors: 4 });
    const names = ['small-00001-of-00003.gguf', 'small-00002-of-00003.gguf', 'small-00003-of-00003.gguf'];
    expect([...files.keys()]).toEqual(names);
    for (const [index, name] of names.entries()) {
      const { metadata, tensors } = await readGguf(memorySource(files.get(name) ?? new Uint8Array()));
      expect([...metadata].slice(-3)).toEqual([
        ['split.no', { type: 'u16', value: index }],
        ['split.count', { type: 'u16', value: 3 }],
        ['split.tensors.count', { type: 'i32', value: 11 }],
      ]);
      expect([metadata.size, tensors.size]).toEqual(index === 0 ? [20, 4] : [3, [4, 4, 3][index]]);
      expect(Buffer.from(await merged(files, name)).equals(whole)).toBe(true);
    }
  });

  it('is cut before the tensor that would exceed the size; a larger tensor stands alone', async () => {
    const files = await split({ maxBytes: 5000 });
    const counts = await Promise.all(
      [...files.values()].map(async (bytes) => [...(await readGguf(memorySource(bytes))).tensors.values()].map((t) => t.bytes)),
    );
    expect(counts).toEqual([[408, 256, 2304], [2304], [2816], [8192], [256], [8192], [4352], [4352, 256]]);
  });

  it('keeps text that is no valid UTF-8, and byte order marks', async () => {
    const damaged = whole.slice();
    damaged[Buffer.from(damaged).indexOf('ä')] = 0xff;
    const files = await split({ maxTensors: 6 }, damaged);
    expect(Buffer.from(await merged(files, 'small-00001-of-00002.gguf')).equals(damaged)).toBe(true);
    const { metadata } = await readGguf(memorySource(whole));
    expect(Array.from(metadata.get('tokenizer.ggml.tokens')?.value as string[])[4]).toBe('\ufeffx');
  });

  it('opens as a checkpoint from any part, the same as the whole file; closing closes every part', async () => {
    const files = await split({ maxTensors: 2 });
    const open = new Set<ByteSource>();
    const expected = await openGgufCheckpoint(memorySource(whole), { backend });
    const checkpoint = await openGgufCheckpoint(folderSource(files, 'small-00004-of-00006.gguf', open), { backend });
    expect(open.size).toBe(6);
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
    expect(checkpoint.config).toEqual(expected.config);
    for (const name of expected.tensors.keys()) expect(await checkpoint.read(name)).toEqual(await expected.read(name));
    expect(checkpoint.tensors.get('model.norm.weight')?.file).toBe('small-00006-of-00006.gguf');
    await checkpoint.close();
    expect(open.size).toBe(0);
  });
});

describe('a split model is refused', () => {
  const at = (files: ReadonlyMap<string, Uint8Array>, index: number) => [...files.keys()][index];

  it('when a part is missing, naming it, and leaves nothing open but what it was given', async () => {
    const files = await split({ maxTensors: 4 });
    files.delete(at(files, 1));
    const open = new Set<ByteSource>();
    await expect(readGgufModel(folderSource(files, at(files, 1), open))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/part 2, small-00002-of-00003.gguf, is missing. Put all parts into one folder/),
    });
    expect(open.size).toBe(1);
  });

  it('when the file was renamed, or comes from where there is no folder', async () => {
    const files = await split({ maxTensors: 4 });
    files.set('renamed.gguf', files.get(at(files, 1)) ?? new Uint8Array());
    await expect(readGgufModel(folderSource(files, 'renamed.gguf'))).rejects.toThrow(/name does not end in "-00002-of-00003.gguf"/);
    await expect(readGgufModel(memorySource(files.get('renamed.gguf') ?? new Uint8Array()))).rejects.toThrow(/cannot be reached from it/);
  });

  it('when parts do not belong together', async () => {
    const files = await split({ maxTensors: 4 });
    const [first, second, third] = [...files.keys()];
    const swapped = new Map(files).set(second, files.get(third) ?? new Uint8Array());
    await expect(readGgufModel(folderSource(swapped, first))).rejects.toThrow(/is part 3 of 3; by its name it is part 2 of 3/);
    const count = files.get(first)?.slice() ?? new Uint8Array();
    count[Buffer.from(count).indexOf('split.tensors.count') + 19 + 4] = 12;
    await expect(readGgufModel(folderSource(new Map(files).set(first, count), first))).rejects.toThrow(/has 12 tensors by .* hold 11/);
    const no = files.get(first)?.slice() ?? new Uint8Array();
    no[Buffer.from(no).indexOf('split.no') + 8 + 4] = 9;
    await expect(readGgufModel(folderSource(new Map(files).set(first, no), first))).rejects.toThrow(/"split.no" 9 and "split.count" 3/);
  });

  it('when a tensor is in two parts', async () => {
    const files = await split({ maxTensors: 4 });
    const [first, second] = [...files.keys()];
    const twice = files.get(second)?.slice() ?? new Uint8Array();
    twice.set(Buffer.from('q.weight'), Buffer.from(twice).indexOf('v.weight'));
    await expect(readGgufModel(folderSource(new Map(files).set(second, twice), first))).rejects.toThrow(/"blk.0.attn_q.weight" is both in/);
  });
});

describe('splitting refuses', () => {
  it('no limit, limits below one, and merging what is whole', async () => {
    const model = await readGgufModel(memorySource(whole));
    await expect(splitGguf(model, memoryFolder(), { prefix: 'x' })).rejects.toThrow(/maxBytes or maxTensors/);
    await expect(splitGguf(model, memoryFolder(), { prefix: 'x', maxTensors: 0 })).rejects.toThrow(
      /maxTensors of a part must be 1 or more/,
    );
    await expect(mergeGguf(model, memoryFolder(), { fileName: 'x.gguf' })).rejects.toThrow(/is in one file already/);
  });
});

describe('sizes', () => {
  it.each([
    ['2GB', 2e9],
    ['500M', 5e8],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['4096', 4096],
    ['10kb', 10000],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', 'GB', '-1', '0', '2PB', '1e9', '9999999T'])('"%s" is none', (text) => {
    expect(() => parseSize(text, '--split-max-size')).toThrow(/is no size/);
  });
});
