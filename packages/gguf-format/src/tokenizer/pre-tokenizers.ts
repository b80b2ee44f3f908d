import { CalibrantError } from '@calibrant/core';
import { type Component, flatten, type TokenizerJson } from './tokenizer-json.js';

/**
 * One step of splitting a text: a regular expression whose matches are pieces, or a built-in one. `like` recognizes other spellings of the
 * expression.
 */
export type Split =
  | { readonly regex: string; readonly like?: RegExp }
  /** GPT-2's expression, which byte-level pre-tokenizers have built in. */
  | 'gpt-2'
  | 'single digits'
  | 'runs of digits'
  | 'runs of punctuation';

/** How byte-level BPE tokenizers split text before merging, by the names that llama.cpp gives them. */
export interface PreTokenizer {
  /** `tokenizer.ggml.pre`. */
  readonly name: string;
  /** The steps, each within the pieces of the one before. */
  readonly splits: readonly Split[];
  /** Whether a piece that is in the vocabulary is taken whole; undefined where no tokenizer depends on it. */
  readonly ignoreMerges?: boolean;
}

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORD = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const REST = ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;
const LLAMA3 = `${CONTRACTIONS}|${WORD}|\\p{N}{1,3}|${REST}`;
const [UPPER, LOWER] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'];
const cased = (suffix: string) => `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${suffix}`;
const CASED_REST = ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`;
const TEKKEN: readonly Split[] = [{ regex: `${cased('')}|\\p{N}|${CASED_REST}` }];
const CJK = { regex: '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+' };
const CJK_KANA = { regex: '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+' };
const NEW_LINES = { regex: '[\\r\\n]' };
/** DeepSeek lists the ranges of cased letters one by one. */
const CASED_LETTERS = { regex: '\\s?[\\p{Lu}\\p{Ll}\\p{Lt}]+', like: /^\\s\?\[A-Za-zµÀ-ÖØ-ö[^\]]*\]\+$/ };
const WIDE_PUNCTUATION = {
  regex: '\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+',
  like: /^\\s\?\[!-\/:-~！-／[^\]]*\]\+$/,
};
const SYMBOLS = '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]';
const DEEPSEEK3 = `${SYMBOLS}[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`;

const PRE_TOKENIZERS: readonly PreTokenizer[] = [
  { name: 'gpt-2', splits: ['gpt-2'] },
  { name: 'smollm', splits: ['single digits', 'gpt-2'] },
  { name: 'llama-bpe', splits: [{ regex: LLAMA3 }], ignoreMerges: true },
  { name: 'smaug-bpe', splits: [{ regex: LLAMA3 }], ignoreMerges: false },
  { name: 'qwen2', splits: [{ regex: `${CONTRACTIONS}|${WORD}|\\p{N}|${REST}` }] },
  {
    name: 'qwen35',
    splits: [{ regex: `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${SPACES}` }],
  },
  { name: 'tekken', splits: TEKKEN, ignoreMerges: true },
  // llama.cpp takes pieces whole for this name, whatever tokenizer.json says.
  { name: 'tekken', splits: TEKKEN },
  { name: 'gpt-4o', splits: [{ regex: `${cased(`${CONTRACTIONS}?`)}|\\p{N}{1,3}|${CASED_REST}` }] },
  { name: 'falcon', splits: ['runs of punctuation', 'gpt-2', 'runs of digits', { regex: '[0-9][0-9][0-9]' }] },
  { name: 'bloom', splits: [{ regex: ' ?[^(\\s|[.,!?…。，、।۔،])]+' }] },
  // llama.cpp keeps runs of digits together there; the vocabulary has single digits only, so that nothing is merged.
  {
    name: 'deepseek-llm',
    splits: [NEW_LINES, CASED_LETTERS, WIDE_PUNCTUATION, { regex: '\\s+$' }, CJK, 'single digits'],
  },
  { name: 'deepseek-coder', splits: [NEW_LINES, { regex: '\\s?\\p{L}+' }, { regex: '\\s?\\p{P}+' }, CJK, 'single digits'] },
  { name: 'deepseek-v3', splits: [{ regex: '\\p{N}{1,3}' }, CJK_KANA, { regex: DEEPSEEK3 }] },
];

/** Names of llama.cpp for splits that are above under another name. */
const SAME: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['mpt', 'olmo', 'jais', 'phi-2', 'gigachat', 'trillion', 'granite-docling'].map((name) => [name, 'gpt-2'])),
  ...Object.fromEntries(['starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'].map((name) => [name, 'smollm'])),
  ...Object.fromEntries(['llama-v3', 'llama3', 'falcon3', 'falcon-h1', 'pixtral', 'lfm2'].map((name) => [name, 'llama-bpe'])),
  ...Object.fromEntries(['dbrx', 'chatglm-bpe', 'glm4'].map((name) => [name, 'smaug-bpe'])),
  ...Object.fromEntries(['stablelm2', 'hunyuan', 'deepseek-r1-qwen', 'megrez'].map((name) => [name, 'qwen2'])),
  ...Object.fromEntries(['poro-chat', 'gpt3-finnish'].map((name) => [name, 'bloom'])),
  llama4: 'gpt-4o',
};

/** The pre-tokenizer of a name in a file, for reconstructing tokenizer.json. */
export function preTokenizerOf(name: string): PreTokenizer | undefined {
  return PRE_TOKENIZERS.find((known) => known.name === (SAME[name] ?? name));
}

/**
 * llama.cpp's name of the split that a tokenizer.json describes, recognized by the structure of its pre-tokenizer and its regular expressions.
 *
 * @throws CalibrantError `UNSUPPORTED` when it is none of the known ones: the option `pre` then names it.
 */
export function recognizePreTokenizer(tokenizer: TokenizerJson, file: string): string {
  const splits = splitsOf(flatten(tokenizer.pre_tokenizer));
  const ignoresMerges = tokenizer.model.ignore_merges === true;
  const found = PRE_TOKENIZERS.find(
    (known) => same(splits, known.splits) && (known.ignoreMerges === undefined || known.ignoreMerges === ignoresMerges),
  );
  if (!found)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: its pre-tokenizer ${JSON.stringify(tokenizer.pre_tokenizer)} is none of those known here (${[...new Set(PRE_TOKENIZERS.map(({ name }) => name))].join(', ')}). If llama.cpp has a name for it, give that name as the option "pre".`,
      { file, option: 'pre' },
    );
  return found.name;
}

/** The steps that a pre-tokenizer's components mean; undefined when it is not byte-level or has a component of another kind. */
function splitsOf(components: readonly Component[]): Split[] | undefined {
  const splits: Split[] = [];
  let byteLevel = false;
  for (const component of components) {
    const split = component.type === 'ByteLevel' ? byteLevelSplit(component) : splitOf(component);
    if (split === undefined) return undefined;
    byteLevel ||= component.type === 'ByteLevel';
    if (split !== 'none') splits.push(split);
  }
  return byteLevel ? splits : undefined;
}

function byteLevelSplit(component: Component): Split | 'none' | undefined {
  if (component['add_prefix_space'] === true) return undefined;
  return component['use_regex'] === false ? 'none' : 'gpt-2';
}

function splitOf(component: Component): Split | undefined {
  const { type, behavior, pattern } = component as Component & { readonly pattern?: { readonly Regex?: string } };
  if (type === 'Digits') return component['individual_digits'] === true ? 'single digits' : 'runs of digits';
  if (type === 'Punctuation') return behavior === 'Contiguous' ? 'runs of punctuation' : undefined;
  // What is removed, when inverted, is what does not match: matches are pieces in both spellings.
  const isolates = behavior === 'Isolated' || (behavior === 'Removed' && component['invert'] === true);
  if (type !== 'Split' || !isolates || typeof pattern?.Regex !== 'string') return undefined;
  const regex = pattern.Regex.replaceAll('\r', '\\r').replaceAll('\n', '\\n');
  return regex === GPT2 ? 'gpt-2' : { regex };
}

function same(found: readonly Split[] | undefined, known: readonly Split[]): boolean {
  return found?.length === known.length && known.every((split, i) => matches(found[i], split));
}

function matches(found: Split, known: Split): boolean {
  if (typeof found === 'string' || typeof known === 'string') return found === known;
  return found.regex === known.regex || known.like?.test(found.regex) === true;
}
