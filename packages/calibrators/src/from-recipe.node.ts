import { createHash } from 'node:crypto';
import { CalibrantError, type RunOptions } from '@calibrant/core';
import {
  type CalibrationSet,
  type CalibrationSize,
  type CalibrationTokenizer,
  PACKING_MODES,
  type TextGenerator,
} from './calibration-set.js';
import { calibrationSetFromModel } from './from-model.js';
import { calibrationSetFromRandom } from './from-random.js';
import { type CalibrationDocument, calibrationSetFromText } from './from-text.js';
import { readDocuments, readFiles } from './read-documents.node.js';

/** The calibration part of a recipe. */
export interface CalibrationOptions extends CalibrationSize {
  readonly source: 'self' | 'file' | 'folder' | 'hub' | 'random';
  /** The file or folder, or the name of a data set of the Hub. */
  readonly path?: string | undefined;
}

export interface CalibrationContext extends RunOptions {
  /** Needed for `file`, `folder` and `hub`. */
  readonly tokenizer?: CalibrationTokenizer;
  /** Needed for `self`. */
  readonly generator?: TextGenerator;
  /** Needed for `random`. */
  readonly vocabSize?: number;
  /** Needed for `hub`: brings a data set onto this machine and gives the paths of its files. */
  readonly downloadDataset?: (name: string) => Promise<readonly string[]>;
}

/**
 * Makes the calibration set that a recipe asks for: text that the model writes itself (`self`), a text file, a folder of text files, a data set of the Hugging Face Hub (`hub`), or
 * random tokens.
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
  checkOptions(options);
  const { source, samples, length, seed, mode } = options;
  const { tokenizer, generator, vocabSize, downloadDataset: _, ...run } = context;
  const size = { samples, length, seed };
  if (source === 'self') {
    if (!generator) throw wrong('source', 'The source "self" needs a model that can generate text.');
    return withHash(await calibrationSetFromModel(generator, size, run));
  }
  if (source === 'random') {
    if (vocabSize === undefined) throw wrong('source', 'The source "random" needs the size of the vocabulary.');
    return withHash(calibrationSetFromRandom(vocabSize, size));
  }
  if (!tokenizer) throw wrong('source', `The source "${source}" needs a tokenizer.`);
  const documents = await readSource({ ...options, source }, context, tokenizer);
  const text = createHash('sha256');
  for (const document of documents) text.update(document.text);
  return { ...withHash(calibrationSetFromText(documents, tokenizer, { ...size, mode }, source)), textSha256: text.digest('hex') };
}

async function readSource(
  { source, path }: { readonly source: 'file' | 'folder' | 'hub'; readonly path?: string | undefined },
  { downloadDataset }: CalibrationContext,
  tokenizer: CalibrationTokenizer,
): Promise<CalibrationDocument[]> {
  const { applyChatTemplate } = tokenizer;
  const render = applyChatTemplate && ((messages: Parameters<typeof applyChatTemplate>[0]) => tokenizer.applyChatTemplate!(messages));
  if (path === undefined)
    throw wrong('path', `The source "${source}" needs calibration.path, the ${source === 'hub' ? 'data set' : source} to read.`);
  if (source !== 'hub') return readDocuments(source, path, render);
  if (!downloadDataset) throw wrong('source', 'The source "hub" needs access to the Hub.');
  return readFiles(await downloadDataset(path), path, render);
}

function checkOptions({ source, path, samples, length, mode = 'pack' }: CalibrationOptions): void {
  if (!(Number.isInteger(samples) && samples >= 1))
    throw wrong('samples', `calibration.samples must be a whole number of at least 1, found ${samples}.`);
  if (!(Number.isInteger(length) && length >= 2))
    throw wrong('length', `calibration.length must be a whole number of at least 2, found ${length}.`);
  if (!PACKING_MODES.includes(mode)) throw wrong('mode', `calibration.mode must be ${PACKING_MODES.join(', ')}, found "${mode}".`);
  if (source !== 'self' && source !== 'random') return;
  if (path !== undefined)
    throw wrong('path', `calibration.path ("${path}") has no use with the source "${source}". Use the source "file", "folder" or "hub".`);
  if (mode !== 'pack') throw wrong('mode', `The mode "${mode}" is for documents; the source "${source}" has none.`);
}

function withHash(set: CalibrationSet): CalibrationSet {
  return { ...set, sha256: hashOfTokens(set.sequences) };
}

/** SHA-256 of the tokens of sequences, as {@link CalibrationSet} has it. */
export function hashOfTokens(sequences: readonly Int32Array[]): string {
  const hash = createHash('sha256');
  for (const ids of sequences) hash.update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return hash.digest('hex');
}

function wrong(option: string, message: string): CalibrantError {
  return new CalibrantError('INVALID_ARGUMENT', message, { option: `calibration.${option}` });
}
