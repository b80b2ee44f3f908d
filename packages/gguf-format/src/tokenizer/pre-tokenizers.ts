import { CalibrantError } from '@calibrant/core';
import { type Component, flatten, type TokenizerJson } from './tokenizer-json.js';

/** How byte-level BPE tokenizers split text before merging, by the names that llama.cpp gives them. */
export interface PreTokenizer {
  /** `tokenizer.ggml.pre`. */
  readonly name: string;
  /** A regular expression that splits, or one of the built-in splits. */
  readonly split: { readonly regex: string } | 'gpt-2' | 'digits and gpt-2';
  /** Whether a piece that is in the vocabulary is taken whole; undefined where no tokenizer depends on it. */
  readonly ignoreMerges?: boolean;
}

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORD = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const LLAMA3 = `${CONTRACTIONS}|${WORD}|\\p{N}{1,3}|${REST}`;
const CASED =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*';
const CASED_REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  { name: 'gpt-2', split: 'gpt-2' },
  { name: 'smollm', split: 'digits and gpt-2' },
  { name: 'llama-bpe', split: { regex: LLAMA3 }, ignoreMerges: true },
  { name: 'smaug-bpe', split: { regex: LLAMA3 }, ignoreMerges: false },
  { name: 'qwen2', split: { regex: `${CONTRACTIONS}|${WORD}|\\p{N}|${REST}` } },
  { name: 'tekken', split: { regex: `${CASED}|\\p{N}|${CASED_REST}` } },
];

/** Other spellings of the same splits, by llama.cpp's names. */
const SAME: Readonly<Record<string, string>> = { 'llama-v3': 'llama-bpe', llama3: 'llama-bpe', starcoder: 'smollm', refact: 'smollm' };

/** The pre-tokenizer of a name in a file, for reconstructing tokenizer.json. */
export function preTokenizerOf(name: string): PreTokenizer | undefined {
  return PRE_TOKENIZERS.find((known) => known.name === (SAME[name] ?? name));
}

/**
 * llama.cpp's name of the split that a tokenizer.json describes, recognized by the structure of its pre-tokenizer and its regular expression.
 *
 * @throws CalibrantError `UNSUPPORTED` when it is none of the known ones: the option `pre` then names it.
 */
export function recognizePreTokenizer(tokenizer: TokenizerJson, file: string): string {
  const parts = flatten(tokenizer.pre_tokenizer);
  const found = PRE_TOKENIZERS.find(
    ({ split, ignoreMerges }) =>
      splits(parts, split) && (ignoreMerges === undefined || ignoreMerges === (tokenizer.model.ignore_merges === true)),
  );
  if (!found)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: its pre-tokenizer ${JSON.stringify(tokenizer.pre_tokenizer)} is none of those known here (${PRE_TOKENIZERS.map(({ name }) => name).join(', ')}). If llama.cpp has a name for it, give that name as the option "pre".`,
      { file, option: 'pre' },
    );
  return found.name;
}

function splits(parts: readonly Component[], split: PreTokenizer['split']): boolean {
  const last = parts.at(-1);
  if (last?.type !== 'ByteLevel' || last['add_prefix_space'] === true) return false;
  const before = parts.slice(0, -1);
  const builtIn = last['use_regex'] !== false;
  if (split === 'gpt-2') return (before.length === 0 && builtIn) || (!builtIn && before.length === 1 && regexOf(before[0]) === GPT2);
  if (split === 'digits and gpt-2')
    return builtIn && before.length === 1 && before[0].type === 'Digits' && before[0]['individual_digits'] === true;
  return !builtIn && before.length === 1 && regexOf(before[0]) === split.regex;
}

/** The expression of a Split that isolates its matches. */
function regexOf(component: Component): string | undefined {
  const behavior = component['behavior'];
  if (component.type !== 'Split' || (behavior !== 'Isolated' && behavior !== 'Removed')) return undefined;
  const pattern = component['pattern'] as { Regex?: string } | undefined;
  return pattern?.Regex;
}
