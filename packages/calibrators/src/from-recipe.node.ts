import { CalibrantError, type RunOptions } from '@calibrant/core';
import type { CalibrationSet, CalibrationSize, CalibrationTokenizer, TextGenerator } from './calibration-set.js';
import { calibrationSetFromModel } from './from-model.js';
import { calibrationSetFromText } from './from-text.js';
import { readDocuments } from './read-documents.node.js';

/** The calibration part of a recipe. */
export interface CalibrationOptions extends CalibrationSize {
  readonly source: 'self' | 'file' | 'folder';
  /** The file or folder. */
  readonly path?: string | undefined;
}

export interface CalibrationContext extends RunOptions {
  /** Needed for `file` and `folder`. */
  readonly tokenizer?: CalibrationTokenizer;
  /** Needed for `self`. */
  readonly generator?: TextGenerator;
}

/**
 * Makes the calibration set that a recipe asks for: text that the model writes itself (`self`), a text file, or a folder of text files.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for empty or too short text (with the tokens found and needed) and for options that do not fit,
 * `NOT_FOUND`, `IO` and `CORRUPT_FILE` for files that cannot be read
 * @example
 * const set = await calibrationSet(
 *   { source: 'file', path: 'notes.txt', samples: 128, length: 512, seed: 0 },
 *   { tokenizer },
 * );
 * for (const warning of set.warnings) console.warn(warning);
 */
export async function calibrationSet(options: CalibrationOptions, context: CalibrationContext): Promise<CalibrationSet> {
  const { source, path, samples, length, seed } = options;
  const { tokenizer, generator, ...run } = context;
  const wrong = (option: string, message: string): CalibrantError =>
    new CalibrantError('INVALID_ARGUMENT', message, { option: `calibration.${option}` });
  if (!(Number.isInteger(samples) && samples >= 1))
    throw wrong('samples', `calibration.samples must be a whole number of at least 1, found ${samples}.`);
  if (!(Number.isInteger(length) && length >= 2))
    throw wrong('length', `calibration.length must be a whole number of at least 2, found ${length}.`);
  if (source === 'self') {
    if (path !== undefined)
      throw wrong('path', `calibration.path ("${path}") has no use with the source "self". Use the source "file" or "folder".`);
    if (!generator) throw wrong('source', 'The source "self" needs a model that can generate text.');
    return calibrationSetFromModel(generator, { samples, length, seed }, run);
  }
  if (path === undefined) throw wrong('path', `The source "${source}" needs calibration.path, the ${source} to read.`);
  if (!tokenizer) throw wrong('source', `The source "${source}" needs a tokenizer.`);
  return calibrationSetFromText(await readDocuments(source, path), tokenizer, { samples, length, seed }, source);
}
