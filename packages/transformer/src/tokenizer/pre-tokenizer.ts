type Json = Readonly<Record<string, unknown>>;

/** GPT-2's expression, which byte-level pre-tokenizers have built in. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * A tokenizer.json whose pre-tokenizer says as expressions what Hugging Face's JavaScript library builds in otherwise than its Rust one: to the latter digits are all
 * numbers (also ½ and Ⅷ), and U+FEFF is no space.
 */
export function withPlainSplits(tokenizer: Json): Json {
  const { pre_tokenizer: pre } = tokenizer;
  return pre && typeof pre === 'object' ? { ...tokenizer, pre_tokenizer: plain(pre as Json) } : tokenizer;
}

function plain(component: Json): Json {
  const { type, pretokenizers } = component;
  if (type === 'Sequence' && Array.isArray(pretokenizers)) return { ...component, pretokenizers: pretokenizers.map(plain) };
  if (type === 'Digits') return split(component['individual_digits'] === true ? '\\p{N}' : '\\p{N}+');
  // With a space put first, the text must not be split before that.
  if (type === 'ByteLevel' && component['use_regex'] !== false && component['add_prefix_space'] === false)
    return { type: 'Sequence', pretokenizers: [split(GPT2), { ...component, use_regex: false }] };
  return component;
}

function split(regex: string): Json {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}
