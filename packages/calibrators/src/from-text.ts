import { CalibrantError } from '@calibrant/core';
import { arrange } from './arrange.js';
import { type CalibrationSet, type CalibrationSize, type CalibrationTokenizer, completeSet } from './calibration-set.js';

export interface CalibrationDocument {
  /** For messages: a path. */
  readonly name: string;
  readonly text: string;
}

/** More unknown tokens than this part are worth a warning. */
const MANY_UNKNOWN = 0.01;
/** English takes about 0.25 tokens per character, a tokenizer of single characters 1, one that falls back to the bytes of another script 2 or 3. */
const MANY_TOKENS = 1.2;

/**
 * Makes a calibration set of texts: each is tokenized whole, and by `size.mode` the tokens are joined (with an end-of-text token in between when the tokenizer has one)
 * and cut into windows, or each document is a sequence. Warns of text that the tokenizer was not made for.
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
  const tokens = filled.map(({ text }) => tokenizer.encode(text));
  const { sequences, available, warnings } = arrange(tokens, tokenizer.eosTokenId, size, names);
  const characters = filled.reduce((sum, { text }) => sum + text.length, 0);
  const unfit = unfitText(tokens, characters, tokenizer.unkTokenId);
  return completeSet({ sequences, source, seed: size.seed, available, warnings: [...warnings, ...unfit] }, size);
}

/** Says in sentences with numbers when a tokenizer lacks words for a text. */
function unfitText(documents: readonly Int32Array[], characters: number, unknown: number | undefined): string[] {
  const warnings: string[] = [];
  const tokens = documents.reduce((sum, { length }) => sum + length, 0);
  const unknowns = documents.reduce((sum, ids) => sum + ids.reduce((count, id) => count + Number(id === unknown), 0), 0);
  if (unknowns > MANY_UNKNOWN * tokens)
    warnings.push(
      `${((100 * unknowns) / tokens).toFixed(1)} % of the calibration tokens (${unknowns} of ${tokens}) are the unknown token: the model's vocabulary lacks this text. Calibrate on text of a language that the model knows.`,
    );
  if (tokens > MANY_TOKENS * characters)
    warnings.push(
      `The calibration text takes ${(tokens / characters).toFixed(2)} tokens per character (English takes about 0.25): the model's tokenizer falls back to single bytes. Calibrate on text of a language that the model knows.`,
    );
  return warnings;
}
