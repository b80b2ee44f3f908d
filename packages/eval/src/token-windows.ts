import { CalibrantError } from '@calibrant/core';

/** The protocol that {@link cutWindows} makes windows for. */
export const PROTOCOL = 'windowed-512';

/** A tokenized text, cut for measuring. */
export interface TokenWindows {
  readonly windows: readonly Int32Array[];
  /** Tokens per full window. */
  readonly length: number;
  /** UTF-8 bytes of the whole text over its tokens, for bits per byte. */
  readonly bytesPerToken?: number;
}

export interface CutOptions {
  /** Tokens per window. The protocol `windowed-512` has 512. */
  readonly length?: number;
  /** Keep only the first windows. */
  readonly maxWindows?: number;
  /** UTF-8 bytes of the text that became `ids`. */
  readonly bytes?: number;
}

/**
 * Cuts a text's tokens by the protocol `windowed-512`: the whole text tokenized in one piece without special tokens, cut in windows of
 * 512 tokens that do not overlap; a last, shorter window stays if it has at least 2 tokens. Each window is run on its own and its first token is
 * not scored.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for fewer than 2 tokens or an option out of range.
 * @example
 * const windows = cutWindows(ids, { bytes: new TextEncoder().encode(text).length });
 */
export function cutWindows(ids: ArrayLike<number>, { length = 512, maxWindows = Infinity, bytes }: CutOptions = {}): TokenWindows {
  if (!(Number.isSafeInteger(length) && length >= 2))
    throw new CalibrantError('INVALID_ARGUMENT', `A window needs at least 2 tokens, found the length ${length}.`, { option: 'length' });
  if (!(maxWindows >= 1))
    throw new CalibrantError('INVALID_ARGUMENT', `At least one window must be measured, found maxWindows ${maxWindows}.`, {
      option: 'maxWindows',
    });
  if (ids.length < 2)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `The text has ${ids.length} tokens; at least 2 are needed to predict one from another. Give a longer text.`,
    );
  const windows: Int32Array[] = [];
  for (let start = 0; start + 2 <= ids.length && windows.length < maxWindows; start += length)
    windows.push(Int32Array.from({ length: Math.min(length, ids.length - start) }, (_, i) => ids[start + i]));
  return { windows, length, ...(bytes === undefined ? {} : { bytesPerToken: bytes / ids.length }) };
}
