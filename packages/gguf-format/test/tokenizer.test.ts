import { readFileSync } from 'node:fs';
import path from 'node:path';
import { openModelFolder } from '@calibrant/checkpoint';
import { type Checkpoint, createReferenceBackend } from '@calibrant/core';
import { openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { modelFolder } from '@calibrant/tiny-llama';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from '@jest/globals';
import { PRE_TOKENIZERS } from './byte-level.js';
import { convert, memoryCheckpoint } from './convert-model.js';
import { memoryFolder, memorySource } from './memory-files.js';
import { randomTensors, TINY } from './random-model.js';
import { SENTENCES, sentencePieceTokenizer } from './sentence-piece.js';

const backend = createReferenceBackend();

async function throughFile(checkpoint: Checkpoint, format: Record<string, unknown> = {}) {
  const folder = memoryFolder();
  await convert(checkpoint, folder, backend, { format });
  const source = memorySource(folder.files.get('model.gguf')?.bytes() ?? new Uint8Array());
  return { file: await readGguf(source), checkpoint: await openGgufCheckpoint(source, { backend }) };
}

async function tokenizerOf(checkpoint: Checkpoint): Promise<Tokenizer> {
  return new Tokenizer(
    JSON.parse((await checkpoint.text('tokenizer.json')) ?? ''),
    JSON.parse((await checkpoint.text('tokenizer_config.json')) ?? ''),
  );
}

/** A model with 8 tokens and this pre-tokenizer. */
function withTokenizer(
  changes: Record<string, unknown>,
  config: Record<string, unknown> = {},
  files: Record<string, string> = {},
  model = {},
) {
  const small = { ...TINY, num_hidden_layers: 1, model_type: 'llama', vocab_size: 10, ...config };
  const tokenizer = {
    added_tokens: [
      { id: 6, content: '<|end|>', special: true },
      { id: 7, content: '<tool▁call>', special: false },
    ],
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2, ' ': 3, 'a b': 4, c: 5 }, merges: ['a b', ['a ', 'b']], ...model },
    ...changes,
  };
  return memoryCheckpoint(small, randomTensors(small), { 'tokenizer.json': JSON.stringify(tokenizer), ...files });
}

const meta = async (checkpoint: Checkpoint, format?: Record<string, unknown>) => {
  const { file } = await throughFile(checkpoint, format);
  return (key: string) => file.metadata.get(`tokenizer.${key}`)?.value;
};

describe('a byte-level BPE tokenizer', () => {
  it('reads back from the file with the same ids for every reference string', async () => {
    const { strings } = JSON.parse(readFileSync(path.join(modelFolder, 'tokenizer_reference.json'), 'utf8'));
    const source = await openModelFolder(modelFolder);
    const { checkpoint } = await throughFile(source);
    await source.close();
    const tokenizer = await tokenizerOf(checkpoint);
    for (const { text, ids } of strings) expect([text, tokenizer.encode(text, { add_special_tokens: true }).ids]).toEqual([text, ids]);
    expect(checkpoint.config).toMatchObject({ bos_token_id: 0, eos_token_id: 0, vocab_size: 4096, tie_word_embeddings: true });
  });

  it('keeps types, open ids, merges in both spellings and spaces within pieces', async () => {
    const key = await meta(withTokenizer({}));
    expect(key('ggml.model')).toBe('gpt2');
    expect(key('ggml.tokens')).toEqual(['a', 'b', 'ab', ' ', 'a b', 'c', '<|end|>', '<tool call>', '[PAD8]', '[PAD9]']);
    expect(key('ggml.token_type')).toEqual(Int32Array.of(1, 1, 1, 1, 1, 1, 3, 4, 5, 5));
    expect(key('ggml.merges')).toEqual(['a b', 'aĠ b']);
  });

  it('takes special ids from tokenizer_config.json first, then from config.json', async () => {
    const settings = JSON.stringify({ bos_token: { content: '<|end|>' }, eos_token: '<|end|>', add_bos_token: true });
    const key = await meta(withTokenizer({}, { eos_token_id: [1, 2], pad_token_id: 5 }, { 'tokenizer_config.json': settings }));
    expect([key('ggml.bos_token_id'), key('ggml.eos_token_id'), key('ggml.padding_token_id')]).toEqual([6, 6, 5]);
    expect([key('ggml.add_bos_token'), key('ggml.add_eos_token')]).toEqual([true, false]);
    const plain = await meta(withTokenizer({}, { eos_token_id: [1, 2] }));
    expect([plain('ggml.bos_token_id'), plain('ggml.eos_token_id'), plain('ggml.add_bos_token')]).toEqual([undefined, 1, false]);
  });

  it('adds the tokens that its post-processor puts around a text', async () => {
    const template = { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<|end|>' } }, { Sequence: { id: 'A' } }] };
    const processors = { type: 'Sequence', processors: [{ type: 'ByteLevel' }, template] };
    const key = await meta(withTokenizer({ post_processor: processors }, { bos_token_id: 6, eos_token_id: 5 }));
    expect([key('ggml.add_bos_token'), key('ggml.add_eos_token')]).toEqual([true, false]);
  });

  it('brings its chat template, also named ones and one in a file of its own', async () => {
    const named = [
      { name: 'default', template: 'A' },
      { name: 'tool_use', template: 'B' },
    ];
    const several = await meta(withTokenizer({}, {}, { 'tokenizer_config.json': JSON.stringify({ chat_template: named }) }));
    expect([several('chat_template'), several('chat_templates'), several('chat_template.tool_use')]).toEqual(['A', ['tool_use'], 'B']);
    const { checkpoint: read } = await throughFile(
      withTokenizer({}, {}, { 'tokenizer_config.json': JSON.stringify({ chat_template: named }) }),
    );
    expect(JSON.parse((await read.text('tokenizer_config.json')) ?? '').chat_template).toEqual(named);
    const { checkpoint } = await throughFile(withTokenizer({}, {}, { 'chat_template.jinja': '{{ messages }}' }));
    expect(JSON.parse((await checkpoint.text('tokenizer_config.json')) ?? '').chat_template).toBe('{{ messages }}');
  });
});

describe('the pre-tokenizer', () => {
  it.each(PRE_TOKENIZERS)('%s is recognized by its structure, and read back', async (name, preTokenizer, ignoreMerges) => {
    const source = withTokenizer({ pre_tokenizer: preTokenizer }, {}, {}, { ignore_merges: ignoreMerges });
    const { file, checkpoint } = await throughFile(source);
    expect(file.metadata.get('tokenizer.ggml.pre')?.value).toBe(name);
    const again = JSON.parse((await checkpoint.text('tokenizer.json')) ?? '');
    expect(again.model.ignore_merges).toBe(ignoreMerges);
    const { file: twice } = await throughFile(
      memoryCheckpoint(source.config, randomTensors(source.config), { 'tokenizer.json': JSON.stringify(again) }),
    );
    expect(twice.metadata.get('tokenizer.ggml.pre')?.value).toBe(name);
  });

  it('that is unknown is refused, unless the option names it', async () => {
    const source = withTokenizer({ pre_tokenizer: { type: 'Split', pattern: { Regex: '\\w+' }, behavior: 'Isolated' } });
    await expect(throughFile(source)).rejects.toThrow(/none of those known here \(gpt-2, smollm, .*option "pre"/);
    expect((await meta(source, { pre: 'deepseek-llm' }))('ggml.pre')).toBe('deepseek-llm');
  });
});

it('a split that is not named, or by a name that is unknown here, is warned about', async () => {
  const warnings = async (pre: string | undefined) => {
    const folder = memoryFolder();
    await convert(withTokenizer({}), folder, backend, { format: { pre: pre ?? 'gpt-2' } });
    const bytes = folder.files.get('model.gguf')?.bytes().slice() ?? new Uint8Array();
    if (pre === undefined) bytes.set(Buffer.from('x'), Buffer.from(bytes).indexOf('tokenizer.ggml.pre') + 'tokenizer.ggml.pr'.length);
    const found: string[] = [];
    await openGgufCheckpoint(memorySource(bytes), { backend, onEvent: (event) => void ('warning' in event && found.push(event.warning)) });
    return found;
  };
  expect(await warnings('gpt-2')).toEqual([]);
  expect(await warnings('viking')).toEqual([expect.stringMatching(/names "viking", which is unknown here.* as GPT-2 does/)]);
  expect(await warnings(undefined)).toEqual([expect.stringMatching(/does not name .*"tokenizer.ggml.pre"/)]);
});

describe('a BPE tokenizer with byte fallback', () => {
  const config = { ...TINY, num_hidden_layers: 1, model_type: 'llama', vocab_size: 320, bos_token_id: 1, eos_token_id: 2 };
  const settings = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' };
  const tokenizer = sentencePieceTokenizer();
  const source = memoryCheckpoint(config, randomTensors(config), {
    'tokenizer.json': JSON.stringify(tokenizer),
    'tokenizer_config.json': JSON.stringify(settings),
  });

  it('becomes a llama vocabulary whose scores are the ranks of the merges, and reads back to the same ids', async () => {
    const { file, checkpoint } = await throughFile(source);
    const scores = file.metadata.get('tokenizer.ggml.scores')?.value as number[];
    expect(file.metadata.get('tokenizer.ggml.model')?.value).toBe('llama');
    expect([scores[tokenizer.model.vocab['▁t']], scores[tokenizer.model.vocab['▁hello']]]).toEqual([-0, -16]);
    const before = new Tokenizer(tokenizer, settings);
    const after = await tokenizerOf(checkpoint);
    for (const text of SENTENCES) expect(after.encode(text).ids).toEqual(before.encode(text).ids);
  });
});

describe('a tokenizer with byte fallback', () => {
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const cases: [string, Record<string, unknown>, boolean][] = [
    ['a normalizer', {}, true],
    [
      'the pre-tokenizer',
      { normalizer: null, pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false } },
      true,
    ],
    ['the older pre-tokenizer', { normalizer: null, pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true } }, true],
    [
      'nothing, as in Gemma',
      { normalizer: replace, pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious' } },
      false,
    ],
    [
      'nothing, as Metaspace may say',
      { normalizer: null, pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never' } },
      false,
    ],
  ];
  it.each(cases)('has a space put first by %s', async (_what, changes, spaceFirst) => {
    const config = { ...TINY, num_hidden_layers: 1, model_type: 'llama', vocab_size: 320 };
    const tokenizer = { ...sentencePieceTokenizer(), ...changes };
    const { file, checkpoint } = await throughFile(
      memoryCheckpoint(config, randomTensors(config), { 'tokenizer.json': JSON.stringify(tokenizer) }),
    );
    expect(file.metadata.get('tokenizer.ggml.add_space_prefix')?.value).toBe(spaceFirst);
    const again = await tokenizerOf(checkpoint);
    const space = tokenizer.model.vocab['▁'];
    expect(again.encode('x').ids).toEqual(spaceFirst ? [space, tokenizer.model.vocab['x']] : [tokenizer.model.vocab['x']]);
  });
});

describe('tokens that end a turn', () => {
  it('are known by their usual names', async () => {
    const added = ['<|eot_id|>', '<|eom_id|>'].map((content, i) => ({ id: 6 + i, content, special: true }));
    const key = await meta(withTokenizer({ added_tokens: added }));
    expect([key('ggml.eot_token_id'), key('ggml.eom_token_id')]).toEqual([6, 7]);
    expect((await meta(withTokenizer({ added_tokens: [] })))('ggml.eot_token_id')).toBeUndefined();
  });
});

describe('conversion refuses', () => {
  it('a missing tokenizer, one that is no BPE, and ids beyond the vocabulary', async () => {
    const bare = withTokenizer({});
    const without = memoryCheckpoint(bare.config, randomTensors(bare.config));
    await expect(throughFile(without)).rejects.toThrow(/tokenizer.json is missing: a GGUF file holds its tokenizer/);
    await expect(throughFile(withTokenizer({}, {}, {}, { type: 'WordLevel' }))).rejects.toThrow(
      /BPE .* and Unigram .* found "WordLevel". llama.cpp has no/,
    );
    await expect(throughFile(withTokenizer({}, {}, {}, { vocab: { a: 10 } }))).rejects.toThrow(
      /"a" has id 10, outside the model's vocabulary of 10/,
    );
    const damaged = memoryCheckpoint(bare.config, randomTensors(bare.config), { 'tokenizer.json': '{' });
    await expect(throughFile(damaged)).rejects.toThrow(/tokenizer.json is not valid JSON/);
  });
});
