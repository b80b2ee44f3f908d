import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { CalibrantError, type RecipeInput } from '@calibrant/core';

type Calibration = NonNullable<RecipeInput['calibration']>;

/** Options of every command that takes calibration text. */
export interface TextOptions {
  readonly samples?: number;
  readonly length?: number;
  readonly seed?: number;
}

/** What `--calibration` names: `self`, a file or a folder. */
export function calibrationSource(text: string): Pick<Calibration, 'source' | 'path'> {
  if (text === 'self') return { source: 'self' };
  return { source: isFolder(text) ? 'folder' : 'file', path: text };
}

/** How much of it. */
export function calibrationSize({ samples, length, seed }: TextOptions): Pick<Calibration, 'samples' | 'length' | 'seed'> {
  return { ...(samples ? { samples } : {}), ...(length ? { length } : {}), ...(seed === undefined ? {} : { seed }) };
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
