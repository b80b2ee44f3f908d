import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder, outputFolder } from '@calibrant/checkpoint';
import type { Backend } from '@calibrant/core';
import { modelFolder } from '@calibrant/tiny-llama';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getLlama, type Llama } from 'node-llama-cpp';
import { byteLevelTokenizer, PRE_TOKENIZERS, SPLIT_TEXTS } from './byte-level.js';
import { convert, memoryCheckpoint } from './convert-model.js';
import { libraryFolder } from './ggml-library.js';
import { randomTensors, TINY } from './random-model.js';
import { SENTENCES, sentencePieceTokenizer } from './sentence-piece.js';

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: loading in llama.cpp, because ${found.reason}.`);
const withLlama = 'folder' in found ? describe : describe.skip;

withLlama("llama.cpp's runtime", () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-gguf-'));
  const reference: { strings: { text: string; ids: number[] }[] } = JSON.parse(
    readFileSync(path.join(modelFolder, 'tokenizer_reference.json'), 'utf8'),
  );
  let backend: Backend;
  let llama: Llama;

  beforeAll(async () => {
    backend = createCpuBackend({ threads: 1 });
    llama = await getLlama({ gpu: false, build: 'never', progressLogs: false });
  });
  afterAll(async () => {
    await llama.dispose();
    await backend.close();
    rmSync(folder, { recursive: true });
  });

  it.each(['F16', 'BF16', 'Q8_0', 'Q4_0', 'Q5_0', 'Q4_K_M', 'Q4_K_S', 'Q6_K'])(
    'loads a %s file and tokenizes every reference string to its ids',
    async (scheme) => {
      const tiny = await openModelFolder(modelFolder);
      await convert(tiny, outputFolder(path.join(folder, scheme)), backend, { scheme });
      await tiny.close();
      const model = await llama.loadModel({ modelPath: path.join(folder, scheme, 'model.gguf') });
      expect(model.trainContextSize).toBe(1024);
      expect(model.size).toBeGreaterThan(2e6);
      const ids = reference.strings.map(({ text }) => [...model.tokenize(text, true)]);
      expect(ids).toEqual(reference.strings.map((string) => string.ids));
      await model.dispose();
    },
  );

  it.each(PRE_TOKENIZERS)('splits text as the tokenizer does that is recognized as %s', async (name, preTokenizer, ignoreMerges) => {
    const tokenizer = byteLevelTokenizer(preTokenizer, ignoreMerges, { numbers: name !== 'deepseek-llm' });
    const config = { ...TINY, num_hidden_layers: 1, model_type: 'llama', vocab_size: Object.keys(tokenizer.model.vocab).length + 1 };
    const settings = { bos_token: '<|end|>', eos_token: '<|end|>' };
    const files = { 'tokenizer.json': JSON.stringify(tokenizer), 'tokenizer_config.json': JSON.stringify(settings) };
    await convert(memoryCheckpoint(config, randomTensors(config), files), outputFolder(path.join(folder, name)), backend);
    const model = await llama.loadModel({ modelPath: path.join(folder, name, 'model.gguf') });
    const expected = new Tokenizer(tokenizer, settings);
    for (const text of SPLIT_TEXTS) expect([text, [...model.tokenize(text)]]).toEqual([text, expected.encode(text).ids]);
    await model.dispose();
  });

  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const split = { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false };
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false };
  it.each([
    ['Llama', {}],
    ['Mistral', { normalizer: null, pre_tokenizer: metaspace }],
    ['Gemma', { normalizer: replace, pre_tokenizer: split }],
  ])('tokenizes as a tokenizer with byte fallback does: %s', async (family, changes) => {
    const config = { ...TINY, model_type: 'llama', vocab_size: 320, bos_token_id: 1, eos_token_id: 2 };
    const [tokenizer, settings] = [
      { ...sentencePieceTokenizer(), ...changes },
      { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
    ];
    const files = { 'tokenizer.json': JSON.stringify(tokenizer), 'tokenizer_config.json': JSON.stringify(settings) };
    await convert(memoryCheckpoint(config, randomTensors(config), files), outputFolder(path.join(folder, 'pieces')), backend);
    const model = await llama.loadModel({ modelPath: path.join(folder, 'pieces', 'model.gguf') });
    const expected = new Tokenizer(tokenizer, settings);
    // Mistral's puts no second space before a text that begins with one; llama.cpp does, as SentencePiece did.
    for (const text of SENTENCES.filter((sentence) => family !== 'Mistral' || !sentence.startsWith(' ')))
      expect([text, [...model.tokenize(text, true)]]).toEqual([text, expected.encode(text, { add_special_tokens: false }).ids]);
    await model.dispose();
  });
});
