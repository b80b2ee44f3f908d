import { readFileSync } from 'node:fs';
import path from 'node:path';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { memoryCheckpoint, openFolder } from './safetensors-checkpoint.js';

const read = (file: string): string => readFileSync(path.join(modelFolder, file), 'utf8');
const files = { 'tokenizer.json': read('tokenizer.json'), 'tokenizer_config.json': read('tokenizer_config.json') };
const open = (texts: Record<string, string>) => openTokenizer(memoryCheckpoint('fixture', {}, new Map(), texts));

describe('the tokenizer of the embedded model', () => {
  const reference = JSON.parse(read('tokenizer_reference.json')) as { strings: { text: string; ids: number[]; decoded: string }[] };

  it('gives the ids of the reference for every string, and decodes them to the same text', async () => {
    const tokenizer = await openTokenizer(openFolder(modelFolder));
    expect(reference.strings.length).toBe(52);
    for (const { text, ids, decoded } of reference.strings) {
      expect([...tokenizer.encode(text)]).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
  });

  it('knows its special tokens and can leave them out of decoded text', async () => {
    const tokenizer = await openTokenizer(openFolder(modelFolder));
    expect([tokenizer.vocabSize, tokenizer.bosTokenId, tokenizer.eosTokenId]).toEqual([4096, 0, 0]);
    const ids = tokenizer.encode('one<|endoftext|>two');
    expect(tokenizer.decode(ids)).toBe('one<|endoftext|>two');
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('onetwo');
    expect(tokenizer.tokenId('no such token')).toBeUndefined();
  });

  it('gives the same ids whether merges are pairs or strings with a space', async () => {
    const model = JSON.parse(files['tokenizer.json']);
    expect(Array.isArray(model.model.merges[0])).toBe(true);
    model.model.merges = model.model.merges.map((pair: string[]) => pair.join(' '));
    const [pairs, strings] = await Promise.all([open(files), open({ ...files, 'tokenizer.json': JSON.stringify(model) })]);
    for (const { text, ids } of reference.strings) {
      expect([...pairs.encode(text)]).toEqual(ids);
      expect([...strings.encode(text)]).toEqual(ids);
    }
  });

  it('takes time in proportion to the length of the text, also when nothing splits the text into words', async () => {
    const text = readFileSync(evaluationTextPath, 'utf8');
    const model = JSON.parse(files['tokenizer.json']);
    model.pre_tokenizer.use_regex = false;
    const cases = [
      { tokenizer: await open(files), times: 16 },
      { tokenizer: await open({ ...files, 'tokenizer.json': JSON.stringify(model) }), times: 4 },
    ];
    for (const { tokenizer, times } of cases) {
      const started = performance.now();
      expect(tokenizer.decode(tokenizer.encode(text.repeat(times)))).toBe(text.repeat(times));
      // Half a second to a second on an idle machine; minutes if the time grew with the square of the length.
      expect(performance.now() - started).toBeLessThan(20000);
    }
  });

  it.each([
    // By Rust's tokenizers 0.23 on these two files.
    ['all numbers as digits', { type: 'Digits', individual_digits: true }, ' ½', ['Ġ', 'Â½']],
    ['runs of numbers', { type: 'Digits', individual_digits: false }, ' ½', ['Ġ', 'Â½']],
    ["no space in U+FEFF, as Rust's library sees none", { type: 'ByteLevel', add_prefix_space: false }, ' \ufeff', ['Ġï', '»', '¿']],
  ])('sees %s', async (_what, first, text, expected) => {
    const tokens = ['Ġ', 'Â', '½', 'ï', '»', '¿', 'ĠÂ', 'Â½', 'Ġï'];
    const merges = [
      ['Ġ', 'Â'],
      ['Â', '½'],
      ['Ġ', 'ï'],
    ];
    const model = { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
    const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
    const empty = { added_tokens: [], normalizer: null, post_processor: null };
    const pre = first.type === 'ByteLevel' ? byteLevel : { type: 'Sequence', pretokenizers: [first, { ...byteLevel, use_regex: false }] };
    const tokenizer = await open({
      'tokenizer.json': JSON.stringify({ ...empty, model, pre_tokenizer: pre, decoder: { type: 'ByteLevel' } }),
    });
    expect([...tokenizer.encode(text)].map((id) => tokens[id])).toEqual(expected);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('adds special tokens only when asked to', async () => {
    const model = JSON.parse(files['tokenizer.json']);
    model.post_processor = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<|endoftext|>': { id: '<|endoftext|>', ids: [0], tokens: ['<|endoftext|>'] } },
    };
    const tokenizer = await open({ 'tokenizer.json': JSON.stringify(model) });
    const plain = [...tokenizer.encode('Hello')];
    expect(plain).not.toContain(0);
    expect([...tokenizer.encode('Hello', { addSpecialTokens: true })]).toEqual([0, ...plain]);
    expect([...tokenizer.encode('')]).toEqual([]);
  });

  it('says what is missing or broken', async () => {
    await expect(open({ 'config.json': '{}' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/tokenizer\.json/),
    });
    await expect(open({ 'tokenizer.json': '{"model":' })).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
    await expect(open({ 'tokenizer.json': '[]' })).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
    await expect(open({ 'tokenizer.json': '{}' })).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
  });
});

const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const LLAMA3 =
  "{{ bos_token }}{% for message in messages %}{% if loop.first and message.role == 'tool' %}{{ raise_exception('A tool cannot begin') }}{% endif %}" +
  "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}" +
  "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}";
const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: ' Hello? ' },
];

describe('applyChatTemplate', () => {
  const withTemplate = (template: unknown) =>
    open({ ...files, 'tokenizer_config.json': JSON.stringify({ bos_token: { content: '<|endoftext|>' }, chat_template: template }) });

  it('writes a conversation by a template in the ChatML style', async () => {
    const tokenizer = await withTemplate(CHATML);
    expect(tokenizer.applyChatTemplate(messages)).toBe('<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hello? <|im_end|>\n');
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toMatch(/<\|im_start\|>assistant\n$/);
  });

  it('writes a conversation by a template in the style of Llama 3, with special tokens and filters', async () => {
    const tokenizer = await withTemplate([
      { name: 'tool_use', template: 'unused' },
      { name: 'default', template: LLAMA3 },
    ]);
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(
      '<|endoftext|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nHello?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    );
  });

  it('prefers chat_template.jinja, and passes variables on', async () => {
    const tokenizer = await open({ ...files, 'chat_template.jinja': '{{ mood }}:{{ messages[1].content }}' });
    expect(tokenizer.applyChatTemplate(messages, { variables: { mood: 'calm' } })).toBe('calm: Hello? ');
  });

  it('says so when there is no template, when it is broken, and when it refuses the messages', async () => {
    const plain = await openTokenizer(openFolder(modelFolder));
    expect(plain.hasChatTemplate).toBe(false);
    expect(() => plain.applyChatTemplate(messages)).toThrow(/no chat template/);
    expect((await withTemplate('{% for')).applyChatTemplate.bind(null, messages)).toThrow(/cannot be read/);
    expect((await withTemplate(LLAMA3)).applyChatTemplate.bind(null, [{ role: 'tool', content: '' }])).toThrow(/A tool cannot begin/);
  });
});
