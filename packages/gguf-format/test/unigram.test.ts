import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openSource, outputFolder } from '@calibrant/checkpoint';
import type { Backend } from '@calibrant/core';
import { openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama } from 'node-llama-cpp';
import { convert, memoryCheckpoint } from './convert-model.js';
import { libraryFolder } from './ggml-library.js';
import { randomTensors, TINY } from './random-model.js';

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: Unigram in llama.cpp, because ${found.reason}.`);
const withLlama = 'folder' in found ? it : it.skip;

const PIECES: [string, number][] = [
  ['<pad>', 0],
  ['</s>', 0],
  ['<unk>', 0],
  ['▁', -2.5],
  ['▁the', -3.1],
  ['▁th', -4.2],
  ['▁t', -4.9],
  ['he', -4.4],
  ['▁other', -6.3],
  ['the', -5.2],
  ['r', -4.1],
  ['er', -4.0],
  ['▁ing', -7.7],
  ['ing', -3.9],
  ['thing', -6.1],
  ...[...'abcdefghijklmnopqstuvwxyz.,'].map((letter, i): [string, number] => [letter, -5 - i / 8]),
];
const SETTINGS = { eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };
const TEXTS = ['the other thing', 'tther  thing, thething.', 'x', 'hé 漢字漢 the', 'a   b', ' the ', 'other</s>the', ''];
const CONFIG = { ...TINY, num_hidden_layers: 1, model_type: 'llama', vocab_size: PIECES.length + 1 };

/** A tokenizer like T5's: words are split at spaces, each begins with `▁`. */
function unigramTokenizer(changes: Record<string, unknown> = {}) {
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ['<pad>', '</s>', '<unk>'].map((content, id) => ({ id, content, ...plain })),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: 2, vocab: PIECES, byte_fallback: false },
    ...changes,
  };
}

describe('a Unigram tokenizer', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-gguf-'));
  const file = path.join(folder, 'model.gguf');
  let backend: Backend;

  beforeAll(async () => {
    backend = createCpuBackend({ threads: 1 });
    await write(unigramTokenizer());
  });
  afterAll(async () => {
    await backend.close();
    rmSync(folder, { recursive: true });
  });

  function write(tokenizer: Record<string, unknown>) {
    const files = { 'tokenizer.json': JSON.stringify(tokenizer), 'tokenizer_config.json': JSON.stringify(SETTINGS) };
    return convert(memoryCheckpoint(CONFIG, randomTensors(CONFIG), files), outputFolder(folder), backend);
  }

  it('becomes a t5 vocabulary with its log probabilities, and reads back to the same ids', async () => {
    const source = await openSource(file);
    const { metadata } = await readGguf(source);
    const key = (name: string) => metadata.get(`tokenizer.ggml.${name}`)?.value;
    expect([key('model'), key('unknown_token_id'), key('eos_token_id'), key('add_eos_token')]).toEqual(['t5', 2, 1, true]);
    expect([key('remove_extra_whitespaces'), key('add_space_prefix')]).toEqual([true, true]);
    expect([...(key('scores') as Float32Array)].slice(3, 5)).toEqual([-2.5, Math.fround(-3.1)]);
    expect([...(key('token_type') as Int32Array)].filter((type) => type !== 1)).toEqual([3, 3, 2, 5]);
    const checkpoint = await openGgufCheckpoint(source, { backend });
    const json = async (name: string) => JSON.parse((await checkpoint.text(name)) ?? '');
    const [before, after] = [
      new Tokenizer(unigramTokenizer(), SETTINGS),
      new Tokenizer(await json('tokenizer.json'), await json('tokenizer_config.json')),
    ];
    for (const text of TEXTS) expect([text, after.encode(text).ids]).toEqual([text, before.encode(text).ids]);
    await checkpoint.close();
  });

  withLlama('gives the same tokens in llama.cpp', async () => {
    const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false });
    const model = await llama.loadModel({ modelPath: file });
    const tokenizer = new Tokenizer(unigramTokenizer(), SETTINGS);
    for (const text of TEXTS)
      expect([text, [...model.tokenize(text, true)]]).toEqual([text, tokenizer.encode(text, { add_special_tokens: false }).ids]);
    await model.dispose();
    await llama.dispose();
  });

  it('is refused, saying why, with what llama.cpp has no like of', async () => {
    await expect(write(unigramTokenizer({ normalizer: { type: 'Lowercase' } }))).rejects.toThrow(
      /nothing like the step {"type":"Lowercase"}/,
    );
    const { model } = unigramTokenizer();
    await expect(write(unigramTokenizer({ model: { ...model, byte_fallback: true } }))).rejects.toThrow(/no byte fallback, found .*true/);
    await expect(write(unigramTokenizer({ model: { ...model, unk_id: null } }))).rejects.toThrow(/"unk_id".*found {"unk_id":null/);
    await expect(write(unigramTokenizer({ model: { ...model, vocab: { a: 1 } } }))).rejects.toThrow(/must have pieces with their log prob/);
    await expect(write(unigramTokenizer({ model: { type: 'WordPiece', vocab: {} } }))).rejects.toThrow(
      /"WordPiece".*for encoders such as BERT/,
    );
  });
});
