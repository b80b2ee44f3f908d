import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder, openSource, outputFolder } from '@calibrant/checkpoint';
import type { Backend } from '@calibrant/core';
import { openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MIXTURES } from '../src/schemes/mixtures.js';
import { convert, memoryCheckpoint } from './convert-model.js';
import { libraryFolder } from './ggml-library.js';
import { loadLlamaQuantize } from './llama-quantize.js';
import { memorySource } from './memory-files.js';
import { randomTensors, TINY } from './random-model.js';

const FILE_TYPES = Object.fromEntries(MIXTURES.map(({ name, fileType }) => [name, fileType]));
const WHOLE = ['Q4_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K_M', 'Q4_K_S', 'Q4_K_M', 'Q6_K', 'IQ4_XS'];

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: the comparison with llama-quantize, because ${found.reason}.`);
const withLlama = 'folder' in found ? describe : describe.skip;

withLlama('beside llama-quantize', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-gguf-'));
  let backend: Backend;
  let quantize: ReturnType<typeof loadLlamaQuantize>;

  beforeAll(async () => {
    backend = createCpuBackend({ threads: 1 });
    quantize = loadLlamaQuantize('folder' in found ? found.folder : '');
    const tiny = await openModelFolder(modelFolder);
    await convert(tiny, outputFolder(path.join(folder, 'F32')), backend);
    await tiny.close();
  });
  afterAll(async () => {
    await backend.close();
    rmSync(folder, { recursive: true });
  });

  it.each(WHOLE)('%s is the same file, byte for byte', async (scheme) => {
    const tiny = await openModelFolder(modelFolder);
    await convert(tiny, outputFolder(path.join(folder, scheme)), backend, { scheme });
    await tiny.close();
    const theirs = path.join(folder, `llama-${scheme}.gguf`);
    quantize(path.join(folder, 'F32', 'model.gguf'), theirs, FILE_TYPES[scheme]);
    const [a, b] = [readFileSync(path.join(folder, scheme, 'model.gguf')), readFileSync(theirs)];
    expect((await readGguf(memorySource(a))).tensors).toEqual((await readGguf(memorySource(b))).tensors);
    expect(Buffer.compare(a, b)).toBe(0);
  });

  it('a GGUF file with keys of its own gives the same file, byte for byte', async () => {
    const source = path.join(folder, 'keys', 'model.gguf');
    const tiny = await openModelFolder(modelFolder);
    const metadata = { 'general.license': { type: 'string', value: 'mit' }, 'some.key': { type: 'i64', value: -3 } };
    await convert(tiny, outputFolder(path.dirname(source)), backend, { format: { metadata, name: 'Another name' } });
    await tiny.close();
    const checkpoint = await openGgufCheckpoint(await openSource(source), { backend });
    await convert(checkpoint, outputFolder(path.join(folder, 'again')), backend, { scheme: 'Q4_K_S' });
    await checkpoint.close();
    quantize(source, path.join(folder, 'theirs.gguf'), FILE_TYPES['Q4_K_S']);
    const [a, b] = [readFileSync(path.join(folder, 'again', 'model.gguf')), readFileSync(path.join(folder, 'theirs.gguf'))];
    expect((await readGguf(memorySource(a))).metadata.get('some.key')).toEqual({ type: 'i64', value: -3n });
    expect(Buffer.compare(a, b)).toBe(0);
  });

  const wide = { num_hidden_layers: 12, hidden_size: 256, intermediate_size: 256, vocab_size: 64 };
  const narrow = { num_hidden_layers: 9, hidden_size: 64, intermediate_size: 96, vocab_size: 64 };
  const tied = { num_hidden_layers: 1, hidden_size: 96, vocab_size: 64, tie_word_embeddings: true };
  const cases: [string, string, Record<string, unknown>][] = [
    ['Q4_K_M', 'twelve layers, untied', wide],
    ['Q4_K_S', 'twelve layers, untied', wide],
    ['Q4_K_M', 'rows that 256 does not divide', narrow],
    ['Q6_K', 'rows that 256 does not divide', narrow],
    ['Q4_K_M', 'a tied embedding whose rows 256 does not divide', tied],
    ['Q6_K', 'a tied embedding whose rows 256 does not divide', tied],
  ];
  it.each(cases)('%s gives every tensor the same type and bytes: %s', async (scheme, what, sizes) => {
    const config = { ...TINY, model_type: 'llama', ...sizes };
    const source = memoryCheckpoint(config, randomTensors(config));
    const here = path.join(folder, `${what} ${scheme}`);
    await convert(source, outputFolder(path.join(here, 'float')), backend, { format: { tokenizer: 'none' } });
    await convert(source, outputFolder(here), backend, { scheme, format: { tokenizer: 'none' } });
    quantize(path.join(here, 'float', 'model.gguf'), path.join(here, 'llama.gguf'), FILE_TYPES[scheme]);
    const [a, b] = [readFileSync(path.join(here, 'model.gguf')), readFileSync(path.join(here, 'llama.gguf'))];
    const [ours, theirs] = [await readGguf(memorySource(a)), await readGguf(memorySource(b))];
    const types = (file: typeof ours) => [...file.tensors.values()].map(({ name, type }) => `${name} ${type.name}`);
    expect(types(ours)).toEqual(types(theirs));
    for (const [name, tensor] of ours.tensors) {
      const other = theirs.tensors.get(name);
      const equal =
        other &&
        Buffer.compare(a.subarray(tensor.offset, tensor.offset + tensor.bytes), b.subarray(other.offset, other.offset + other.bytes)) === 0;
      expect([name, equal]).toEqual([name, true]);
    }
  });
});
