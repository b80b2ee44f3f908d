import { createHash } from 'node:crypto';
import { CalibrantError, type RunOptions } from '@calibrant/core';
import {
  type CalibrationSet,
  type CalibrationSize,
  type CalibrationTokenizer,
  completeSet,
  fewSequences,
  PACKING_MODES,
  type TextGenerator,
} from './calibration-set.js';
import { dealSequences, mixSets } from './from-mixture.js';
import { calibrationSetFromModel } from './from-model.js';
import { calibrationSetFromRandom } from './from-random.js';
import { type CalibrationDocument, calibrationSetFromText } from './from-text.js';
import { readDocuments, readFiles } from './read-documents.node.js';

/** Where calibration sequences come from. */
export interface CalibrationSource {
  readonly source: 'self' | 'file' | 'folder' | 'hub' | 'random';
  /** The file or folder, or the name of a data set of the Hub. */
  readonly path?: string | undefined;
}

/** The calibration part of a recipe. */
export interface CalibrationOptions extends CalibrationSize {
  readonly source: CalibrationSource['source'] | 'mixture';
  readonly path?: string | undefined;
  /** Of a mixture: how much of the sequences comes from where, in relation to the other shares. */
  readonly parts?: readonly (CalibrationSource & { readonly share: number })[] | undefined;
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
  if (options.source === 'mixture') return mixture(options, context);
  if (options.parts !== undefined) throw wrong('parts', `calibration.parts is for the source "mixture", not "${options.source}".`);
  return setOfSource({ ...options, source: options.source }, context);
}

/** Sequences of each part, dealt by shares. A part of text is cut in the mode asked for; the model's own text and random tokens have none. */
async function mixture(options: CalibrationOptions, context: CalibrationContext): Promise<CalibrationSet> {
  const { parts = [], samples, seed, mode, path } = options;
  if (parts.length === 0) throw wrong('parts', 'The source "mixture" needs calibration.parts, a list of sources with their shares.');
  if (path !== undefined) throw wrong('path', 'The source "mixture" has the paths in its parts.');
  const order = dealSequences(
    parts.map(({ share }) => share),
    samples,
  );
  const sets: CalibrationSet[] = [];
  for (const [index, { source, path: where }] of parts.entries()) {
    const count = order.filter((part) => part === index).length;
    if (count === 0)
      throw wrong(
        'samples',
        `Of ${samples} calibration sequences none would come from ${where ?? source}. Take more samples, or a larger share.`,
      );
    const part = { ...options, source, path: where, samples: count, mode: NO_DOCUMENTS.has(source) ? undefined : mode };
    const set = await setOfSource(part, context);
    const warnings = set.warnings.filter((warning) => warning !== fewSequences(set)).map((warning) => `${where ?? source}: ${warning}`);
    sets.push({ ...set, warnings });
  }
  const text = createHash('sha256');
  for (const { textSha256 } of sets) text.update(textSha256 ?? '');
  return { ...withHash(completeSet(mixSets(sets, order, seed), options)), textSha256: text.digest('hex') };
}

type OneSource = CalibrationSource & CalibrationSize;

async function setOfSource(options: OneSource, context: CalibrationContext): Promise<CalibrationSet> {
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

const NO_DOCUMENTS: ReadonlySet<string> = new Set(['self', 'random']);

function checkOptions({ source, path, samples, length, mode = 'pack' }: OneSource): void {
  if (!(Number.isInteger(samples) && samples >= 1))
    throw wrong('samples', `calibration.samples must be a whole number of at least 1, found ${samples}.`);
  if (!(Number.isInteger(length) && length >= 2))
    throw wrong('length', `calibration.length must be a whole number of at least 2, found ${length}.`);
  if (!PACKING_MODES.includes(mode)) throw wrong('mode', `calibration.mode must be ${PACKING_MODES.join(', ')}, found "${mode}".`);
  if (!NO_DOCUMENTS.has(source)) return;
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
