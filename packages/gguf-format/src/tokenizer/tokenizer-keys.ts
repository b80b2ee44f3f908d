import { CalibrantError, type Checkpoint } from '@calibrant/core';
import { type GgufValue, value } from '../file/metadata.js';
import { recognizePreTokenizer } from './pre-tokenizers.js';
import { specialTokenKeys } from './special-tokens.js';
import { flatten, mergePairs, parseTokenizerJson, type TokenizerJson } from './tokenizer-json.js';
import { unigramKeys } from './unigram.js';

/** `tokenizer.ggml.token_type`. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** How SentencePiece writes a space. */
export const SPACE = '▁';
const LOOKS_SPECIAL = /^(<\|[^|]*\|>|<pad>|<mask>|<unused\d+>)$/;

/**
 * The keys `tokenizer.*` of a checkpoint's tokenizer: byte-level BPE becomes llama.cpp's `gpt2` model, BPE with byte fallback (Llama 2,
 * Mistral) its `llama` model, whose scores are the ranks of the merges, and Unigram its `t5` model.
 *
 * @throws CalibrantError `NOT_FOUND` without tokenizer.json; `UNSUPPORTED` for tokenizers that llama.cpp has no name for.
 */
export async function tokenizerKeys(checkpoint: Checkpoint, vocabSize: number, pre: string | undefined): Promise<Map<string, GgufValue>> {
  const file = `${checkpoint.name}/tokenizer.json`;
  const text = await checkpoint.text('tokenizer.json');
  if (text === undefined)
    throw new CalibrantError(
      'NOT_FOUND',
      `${file} is missing: a GGUF file holds its tokenizer. Save the tokenizer with the model as tokenizer.json, or set the format's option "tokenizer" to "none" in the recipe.`,
      {
        file,
      },
    );
  const tokenizer = parseTokenizerJson(text, file);
  const { tokens, types } = vocabulary(tokenizer, vocabSize, file);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  for (const { id, content } of tokenizer.added_tokens ?? []) ids.set(content, id);
  const keys = new Map<string, GgufValue>();
  if (tokenizer.model.unigram) {
    keys.set('tokenizer.ggml.model', value.string('t5'));
    keys.set('tokenizer.ggml.pre', value.string(pre ?? 'default'));
    keys.set('tokenizer.ggml.tokens', value.strings(tokens));
    keys.set('tokenizer.ggml.token_type', value.i32s(types));
    keys.set('tokenizer.ggml.add_space_prefix', value.bool(startsWithSpace(tokenizer)));
    for (const [key, entry] of unigramKeys(tokenizer, vocabSize, file)) keys.set(key, entry);
  } else if (tokenizer.model.byte_fallback) {
    keys.set('tokenizer.ggml.model', value.string('llama'));
    keys.set('tokenizer.ggml.pre', value.string(pre ?? 'default'));
    keys.set('tokenizer.ggml.tokens', value.strings(tokens));
    keys.set('tokenizer.ggml.scores', value.f32s(scores(tokenizer, tokens, types)));
    keys.set('tokenizer.ggml.token_type', value.i32s(types));
    keys.set('tokenizer.ggml.add_space_prefix', value.bool(startsWithSpace(tokenizer)));
  } else {
    keys.set('tokenizer.ggml.model', value.string('gpt2'));
    keys.set('tokenizer.ggml.pre', value.string(pre ?? recognizePreTokenizer(tokenizer, file)));
    keys.set('tokenizer.ggml.tokens', value.strings(tokens));
    keys.set('tokenizer.ggml.token_type', value.i32s(types));
    // A space within a piece would read as the separator.
    const merges = mergePairs(tokenizer.model.merges).map((pair) => pair.map((piece) => piece.replaceAll(' ', 'Ġ')).join(' '));
    keys.set('tokenizer.ggml.merges', value.strings(merges));
  }
  for (const [key, entry] of await specialTokenKeys(checkpoint, tokenizer, (token) => ids.get(token))) keys.set(key, entry);
  return keys;
}

/** Rows of the embedding to keep: Gemma 3's has more rows than its tokenizer has tokens, and llama.cpp wants as many. All of them if undefined. */
export async function vocabularyRows(checkpoint: Checkpoint): Promise<number | undefined> {
  const text = checkpoint.config['model_type'] === 'gemma3_text' ? await checkpoint.text('tokenizer.json') : undefined;
  if (text === undefined) return undefined;
  const { model, added_tokens: added = [] } = parseTokenizerJson(text, `${checkpoint.name}/tokenizer.json`);
  let highest = -1;
  for (const id of Object.values(model.vocab)) highest = Math.max(highest, id);
  for (const { id } of added) highest = Math.max(highest, id);
  return highest + 1;
}

/** The tokens by id with their types; ids that the tokenizer leaves open become unused ones. */
function vocabulary(tokenizer: TokenizerJson, vocabSize: number, file: string): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocabSize).fill(TOKEN_TYPE.unused);
  const place = (token: string, id: number, type: number) => {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${file}: the token ${JSON.stringify(token)} has id ${id}, outside the model's vocabulary of ${vocabSize}.`,
        {
          file,
        },
      );
    tokens[id] = token;
    types[id] = type;
  };
  const bytes = tokenizer.model.byte_fallback === true;
  for (const [token, id] of Object.entries(tokenizer.model.vocab))
    place(token, id, bytes && /^<0x[0-9A-F]{2}>$/.test(token) ? TOKEN_TYPE.byte : TOKEN_TYPE.normal);
  const { unknown } = tokenizer.model.unigram ?? {};
  if (unknown !== undefined) place(tokens[unknown], unknown, TOKEN_TYPE.unknown);
  for (const { content, id, special } of tokenizer.added_tokens ?? []) {
    const control = special || LOOKS_SPECIAL.test(content);
    if ((bytes && content === '<unk>') || id === unknown) place(content, id, TOKEN_TYPE.unknown);
    else place(control ? content : content.replaceAll(SPACE, ' '), id, control ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined);
  }
  return { tokens, types };
}

/** Whether a space is put before a text: by a normalizer (Llama 2, Phi 3) or by the pre-tokenizer (Mistral), and not for Gemma. */
function startsWithSpace({ normalizer, pre_tokenizer: preTokenizer }: TokenizerJson): boolean {
  if (flatten(normalizer).some(({ type }) => type === 'Prepend')) return true;
  const metaspace = flatten(preTokenizer).find(({ type }) => type === 'Metaspace');
  if (!metaspace) return false;
  return metaspace['prepend_scheme'] === undefined ? metaspace['add_prefix_space'] !== false : metaspace['prepend_scheme'] !== 'never';
}

/** SentencePiece's BPE merges by descending score: the rank of the merge that makes a token, negated. */
function scores(tokenizer: TokenizerJson, tokens: readonly string[], types: readonly number[]): number[] {
  const ranks = new Map<string, number>();
  for (const [rank, pair] of mergePairs(tokenizer.model.merges).entries()) {
    const merged = pair.join('');
    if (!ranks.has(merged)) ranks.set(merged, rank);
  }
  const last = tokenizer.model.merges.length;
  return tokens.map((token, id) =>
    types[id] === TOKEN_TYPE.normal ? -(ranks.get(token) ?? last) : types[id] === TOKEN_TYPE.unused ? -10000 : 0,
  );
}
