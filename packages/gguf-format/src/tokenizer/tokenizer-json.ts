import { CalibrantError } from '@calibrant/core';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** What is used of a `tokenizer.json`. Of a Unigram model the vocabulary is made an object like that of BPE, and `merges` is empty. */
export interface TokenizerJson {
  readonly added_tokens?: readonly AddedToken[];
  readonly normalizer?: Component | null;
  readonly pre_tokenizer?: Component | null;
  readonly post_processor?: Component | null;
  readonly model: {
    readonly type: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
    /** Unigram: log probabilities by id, and the id of what is not in the vocabulary. */
    readonly unigram?: { readonly scores: readonly number[]; readonly unknown: number };
  };
}

/** A node of the pipeline: its type and its settings. */
export interface Component {
  readonly type: string;
  readonly [setting: string]: unknown;
}

/** @throws CalibrantError `CORRUPT_FILE` when it is no JSON, `UNSUPPORTED` when its model is neither BPE nor Unigram. */
export function parseTokenizerJson(text: string, file: string): TokenizerJson {
  let parsed: TokenizerJson;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${file} is not valid JSON.`, { file, cause });
  }
  const model = parsed?.model;
  if (model?.type === 'Unigram') return { ...parsed, model: unigramModel(model as unknown as Component, file) };
  if (
    typeof model !== 'object' ||
    model === null ||
    (model.type ?? 'BPE') !== 'BPE' ||
    typeof model.vocab !== 'object' ||
    !Array.isArray(model.merges)
  )
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: tokenizers of BPE (with a vocabulary and merges) and Unigram can be written to GGUF, found ${JSON.stringify(model?.type)}.${REASONS[model?.type ?? ''] ?? ''}`,
      { file },
    );
  return parsed;
}

/** Why other kinds are not written. */
const REASONS: Readonly<Record<string, string>> = {
  WordPiece:
    ' llama.cpp has WordPiece for encoders such as BERT alone: it lowers case, drops accents and cannot put a generated text together.',
  WordLevel: ' llama.cpp has no tokenizer that takes words whole.',
};

/** `vocab: [[piece, log probability], …]`. */
function unigramModel({ vocab, unk_id: unknown, byte_fallback: byteFallback }: Component, file: string): TokenizerJson['model'] {
  const fits = (entry: unknown) => Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number';
  if (!Array.isArray(vocab) || vocab.length === 0 || !vocab.every(fits))
    throw new CalibrantError('CORRUPT_FILE', `${file}: a Unigram model must have pieces with their log probabilities as "vocab".`, {
      file,
    });
  if (typeof unknown !== 'number' || byteFallback === true)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: llama.cpp's Unigram tokenizer needs a token for what it does not know ("unk_id") and has no byte fallback, found ${JSON.stringify({ unk_id: unknown ?? null, byte_fallback: byteFallback ?? false })}.`,
      { file },
    );
  const pieces = vocab as [string, number][];
  return {
    type: 'Unigram',
    vocab: Object.fromEntries(pieces.map(([piece], id) => [piece, id])),
    merges: [],
    unigram: { scores: pieces.map(([, score]) => score), unknown },
  };
}

/** A component and all within it, for Sequence and its like. */
export function flatten(component: Component | null | undefined): Component[] {
  if (!component) return [];
  if (component.type !== 'Sequence') return [component];
  const parts = component['pretokenizers'] ?? component['normalizers'] ?? component['processors'] ?? component['decoders'];
  return Array.isArray(parts) ? parts.flatMap((part) => flatten(part as Component)) : [];
}

/** Merges as pairs; the older spelling joins them by a space. */
export function mergePairs(merges: TokenizerJson['model']['merges']): [string, string][] {
  return merges.map((merge) => {
    if (typeof merge !== 'string') return [merge[0], merge[1]];
    const space = merge.indexOf(' ', 1);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
}
