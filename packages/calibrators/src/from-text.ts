import { CalibrantError } from '@calibrant/core';
import { type CalibrationSet, type CalibrationSize, type CalibrationTokenizer, completeSet } from './calibration-set.js';
import { cutWindows } from './windows.js';

export interface CalibrationDocument {
  /** For messages: a path. */
  readonly name: string;
  readonly text: string;
}

/**
 * Makes a calibration set of texts: each is tokenized whole, the tokens are joined (with an end-of-text token in between when the tokenizer has one),
 * and the result is cut into windows.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` when there is no text or less than one window of it
 * @example
 * const set = calibrationSetFromText([{ name: 'notes', text }], tokenizer, { samples: 128, length: 512, seed: 0 });
 */
export function calibrationSetFromText(
  documents: readonly CalibrationDocument[],
  tokenizer: CalibrationTokenizer,
  size: CalibrationSize,
  source: Exclude<CalibrationSet['source'], 'self'> = 'text',
): CalibrationSet {
  const filled = documents.filter(({ text }) => text.trim() !== '');
  const names = documents.length === 1 ? documents[0].name : `the calibration text (${documents.length} documents)`;
  if (filled.length === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `${names} holds no text. Name a file or folder with text in it.`, {
      option: 'calibration.path',
    });
  const tokens = joinTokens(
    filled.map(({ text }) => tokenizer.encode(text)),
    tokenizer.eosTokenId,
  );
  const sequences = cutWindows(tokens, size, names);
  return completeSet({ sequences, source, seed: size.seed, available: tokens.length }, size);
}

function joinTokens(parts: readonly Int32Array[], separator: number | undefined): Int32Array {
  const gap = separator === undefined ? 0 : 1;
  const joined = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0) + gap * (parts.length - 1));
  let at = 0;
  for (const [i, part] of parts.entries()) {
    if (i > 0 && separator !== undefined) joined[at++] = separator;
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
