import { CalibrantError } from '@calibrant/core';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** What is used of a `tokenizer.json` with a BPE model. */
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
  };
}

/** A node of the pipeline: its type and its settings. */
export interface Component {
  readonly type: string;
  readonly [setting: string]: unknown;
}

/** @throws CalibrantError `CORRUPT_FILE` when it is no JSON, `UNSUPPORTED` when its model is not BPE. */
export function parseTokenizerJson(text: string, file: string): TokenizerJson {
  let parsed: TokenizerJson;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${file} is not valid JSON.`, { file, cause });
  }
  const model = parsed?.model;
  if (
    typeof model !== 'object' ||
    model === null ||
    (model.type ?? 'BPE') !== 'BPE' ||
    typeof model.vocab !== 'object' ||
    !Array.isArray(model.merges)
  )
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: only BPE tokenizers with a vocabulary and merges can be written to GGUF, found ${JSON.stringify(model?.type)}.`,
      { file },
    );
  return parsed;
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
