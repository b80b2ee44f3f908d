import { CalibrantError } from '@calibrant/core';
import type { ChoiceOption } from './choice-item.js';

/** What a task needs of a tokenizer (that of `@calibrant/transformer` is one): ids without special tokens. */
export interface TaskTokenizer {
  encode(text: string): Int32Array;
}

/** A sequence to run, and the tokens that are scored: `targets` follow the last `targets.length` positions of `input`. */
export interface EncodedOption {
  readonly input: Int32Array;
  readonly targets: Int32Array;
  /** Whether the context was cut at its beginning to fit. */
  readonly cut: boolean;
}

export interface EncodeLimits {
  /** Tokens that the model can see at once. */
  readonly maxPositions?: number;
  /** The token that begins every text, for models that want one. */
  readonly bosTokenId?: number;
  /** Stands before an empty context where there is no such token. */
  readonly fallbackToken?: number;
}

/**
 * Tokens of a context and its continuation: both are tokenized together, and what lies behind the context's own tokens is scored. Spaces at the end of a
 * context belong to the continuation. A sequence that is too long loses the beginning of its context.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a continuation without tokens, or one that does not fit
 */
export function encodeOption(
  { context, continuation }: ChoiceOption,
  tokenizer: TaskTokenizer,
  { maxPositions = Infinity, bosTokenId, fallbackToken }: EncodeLimits,
  where: string,
): EncodedOption {
  const stem = context.trimEnd();
  const ofContext = stem === '' ? 0 : tokenizer.encode(stem).length;
  const text = tokenizer.encode(stem + context.slice(stem.length) + continuation);
  const first = bosTokenId ?? (ofContext === 0 ? fallbackToken : undefined);
  if (first === undefined && ofContext === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `${where}: the context is empty, and the model has no begin token to put in its place.`);
  const whole = first === undefined ? text : Int32Array.of(first, ...text);
  const start = ofContext + whole.length - text.length;
  const count = whole.length - start;
  if (count < 1) throw new CalibrantError('INVALID_ARGUMENT', `${where}: the choice "${continuation}" adds no token to its context.`);
  if (count > maxPositions)
    throw new CalibrantError('INVALID_ARGUMENT', `${where}: a choice has ${count} tokens, and the model sees ${maxPositions} at once.`);
  const input = whole.subarray(Math.max(0, whole.length - 1 - maxPositions), whole.length - 1);
  return { input, targets: whole.subarray(start), cut: whole.length - 1 > maxPositions };
}
