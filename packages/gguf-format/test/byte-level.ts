/** Texts in which every kind of split that tokenizers make matters. */
export const SPLIT_TEXTS = [
  "Don't stop: they'LL say I'M here, WE'VE won!",
  'HelloWorld camelCase XMLHttpRequest iPhone',
  'price: 12,345.67 and 1234567 in 2026',
  'x = [1, 2];\r\n\r\n  if (y != "z") {\n\n\n\treturn y--;\n}  ',
  'https://example.org/a_b?c=d&e=100%25 #tag @me',
  'naïve café, Ωmega и русский; 漢字かな混じり文。한국어!',
  'three   spaces\tand a tab, ...!!! ((nested)) -- done',
  ' leading 007 space',
];

/** The character by which byte-level tokenizers write each byte. */
function byteCharacters(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

/**
 * A byte-level BPE tokenizer whose merges were learned across all boundaries, so that only the pre-tokenizer keeps pieces apart. `numbers: false` learns no
 * numbers of several digits.
 */
export function byteLevelTokenizer(preTokenizer: unknown, ignoreMerges: boolean, { numbers = true } = {}) {
  const characters = byteCharacters();
  const words = SPLIT_TEXTS.map((text) => [...new TextEncoder().encode(text)].map((byte) => characters[byte]));
  const merges: [string, string][] = [];
  for (let round = 0; round < 150; round++) {
    const counts = new Map<string, number>();
    for (const word of words)
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        if (!numbers && /\d/.test(pair)) continue;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    const [best] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
    const [left, right] = best.split(' ');
    merges.push([left, right]);
    for (const word of words)
      for (let i = 0; i + 1 < word.length; i++) if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
  }
  const tokens = [...new Set([...characters, ...merges.map((pair) => pair.join(''))])];
  return {
    version: '1.0',
    added_tokens: [
      { id: tokens.length, content: '<|end|>', special: true, normalized: false, lstrip: false, rstrip: false, single_word: false },
    ],
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      ignore_merges: ignoreMerges,
      byte_fallback: false,
      fuse_unk: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

const isolated = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
const sequence = (...pretokenizers: unknown[]) => ({ type: 'Sequence', pretokenizers });
const bytes = (useRegex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex });
const split = (regex: string) => sequence(isolated(regex), bytes(false));

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const llama3 = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${rest}`;
const o200k = (suffix: string, digits: string) =>
  [
    `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${suffix}`,
    `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${suffix}`,
    digits,
    ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
  ].join('|');
const deepseek3 =
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+';
const digits = (individual: boolean) => ({ type: 'Digits', individual_digits: individual });

/** llama.cpp's names, the pre-tokenizers of public tokenizer.json files that they stand for, and whether pieces in the vocabulary stay whole. */
export const PRE_TOKENIZERS: readonly (readonly [name: string, preTokenizer: unknown, ignoreMerges: boolean])[] = [
  ['gpt-2', bytes(true), false],
  ['smollm', sequence(digits(true), bytes(true)), false],
  ['llama-bpe', split(llama3), true],
  ['smaug-bpe', split(llama3), false],
  ['qwen2', split(llama3.replace('{1,3}', '')), false],
  [
    'qwen35',
    split(
      `${contractions}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ),
    false,
  ],
  ['tekken', split(o200k('', '\\p{N}')), true],
  ['gpt-4o', split(o200k(`${contractions}?`, '\\p{N}{1,3}')), false],
  ['falcon', sequence({ type: 'Punctuation', behavior: 'Contiguous' }, bytes(true), digits(false), isolated('[0-9][0-9][0-9]')), false],
  ['bloom', split(' ?[^(\\s|[.,!?…。，、।۔،])]+'), false],
  [
    'deepseek-llm',
    sequence(
      isolated('[\r\n]'),
      isolated('\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-Ⴥ]+'),
      isolated('\\s?[!-/:-~！-／：-～‘-‟　-。]+'),
      isolated('\\s+$'),
      isolated('[一-龥ࠀ-一가-퟿]+'),
      digits(true),
      bytes(false),
    ),
    false,
  ],
  [
    'deepseek-coder',
    sequence(
      isolated('[\r\n]'),
      isolated('\\s?\\p{L}+'),
      isolated('\\s?\\p{P}+'),
      isolated('[一-龥ࠀ-一가-퟿]+'),
      digits(true),
      bytes(false),
    ),
    false,
  ],
  ['deepseek-v3', sequence(isolated('\\p{N}{1,3}'), isolated('[一-龥぀-ゟ゠-ヿ]+'), isolated(deepseek3), bytes(false)), false],
];
