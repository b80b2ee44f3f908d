import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { CalibrantError, type RecipeInput } from '@calibrant/core';
import { type Command, Option } from 'commander';
import { seed, wholeNumber } from '../program.js';

type Calibration = NonNullable<RecipeInput['calibration']>;

/** Options of every command that takes calibration text. */
export interface TextOptions {
  readonly samples?: number;
  readonly length?: number;
  readonly seed?: number;
  readonly calibrationMode?: string;
}

/** What `--calibration` names: `self`, `random`, a file, a folder or a data set of the Hub; or several with commas, each with its share of the sequences: `notes.txt=2,code.jsonl,self`. */
export function calibrationSource(text: string): Pick<Calibration, 'source' | 'path' | 'parts'> {
  if (!text.includes(',') || existsSync(text)) return oneSource(text);
  const parts = text.split(',').map((part) => {
    const [, name, share] = /^(.+?)(?:=(\d+(?:\.\d+)?))?$/.exec(part.trim()) ?? [];
    if (name === undefined || Number(share) === 0)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `--calibration takes sources with commas between them, each with a share above 0 if it is not 1: notes.txt=2,code.jsonl,self; found "${text}".`,
        { option: '--calibration' },
      );
    return { ...oneSource(name), ...(share === undefined ? {} : { share: Number(share) }) };
  });
  return { source: 'mixture', parts };
}

function oneSource(text: string): { readonly source: 'self' | 'file' | 'folder' | 'hub' | 'random'; readonly path?: string } {
  if (text === 'self' || text === 'random') return { source: text };
  const missing = !existsSync(text);
  if (text.startsWith('hf:') || (missing && /^[\w.-]+\/[\w.-]+([@:][^/].*)?$/.test(text) && !/\.(txt|md|jsonl|parquet)$/.test(text)))
    return { source: 'hub', path: text };
  return { source: isFolder(text) ? 'folder' : 'file', path: text };
}

/** How much of it. */
export function calibrationSize({
  samples,
  length,
  seed,
  calibrationMode,
}: TextOptions): Pick<Calibration, 'samples' | 'length' | 'seed' | 'mode'> {
  return {
    ...(samples ? { samples } : {}),
    ...(length ? { length } : {}),
    ...(seed === undefined ? {} : { seed }),
    ...(calibrationMode === undefined ? {} : { mode: calibrationMode as Calibration['mode'] }),
  };
}

/** How much text there is when nobody says. */
const USUAL = { samples: '256', length: '512' };

/** Options that say how much calibration text is used, and how it is cut; `usual` names the defaults. */
export function addTextOptions(command: Command, usual: { readonly samples: string; readonly length: string } = USUAL): Command {
  return command
    .option('--samples <n>', `calibration sequences (default ${usual.samples})`, wholeNumber)
    .option('--length <n>', `tokens per calibration sequence (default ${usual.length})`, wholeNumber)
    .option('--seed <n>', 'seed of everything random (default 0)', seed)
    .addOption(calibrationModeOption());
}

function calibrationModeOption(): Option {
  return new Option(
    '--calibration-mode <mode>',
    'pack: join documents and cut (default); documents: each begins a sequence; truncate: the beginning of each',
  ).choices(['pack', 'documents', 'truncate']);
}

/** What `--imatrix` names: an importance matrix in a file, or (`self`, a text, a folder) what to compute one on. */
export function importanceSource(text: string, size: TextOptions): NonNullable<RecipeInput['importance']> {
  if (text !== 'self' && !isFolder(text) && isBinary(text)) return { file: text };
  return { calibration: { ...calibrationSource(text), ...calibrationSize(size) } };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Texts hold no zero bytes; files of importance matrices do within their first numbers. */
function isBinary(path: string): boolean {
  const start = new Uint8Array(64);
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new CalibrantError(
      'NOT_FOUND',
      `Cannot read ${path} (${(cause as NodeJS.ErrnoException).code}). --imatrix takes the file of an importance matrix, a file or folder of text to compute one on, or self.`,
      { file: path, option: '--imatrix', cause },
    );
  }
  try {
    return start.subarray(0, readSync(file, start)).includes(0);
  } finally {
    closeSync(file);
  }
}
