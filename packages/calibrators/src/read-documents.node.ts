import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { decodeText, readJsonLines } from './decode-text.js';
import type { CalibrationDocument } from './from-text.js';

const TEXT_FILES = new Set(['.txt', '.md', '.jsonl']);

/** More than any calibration needs, and more than JavaScript's strings hold. */
const MAX_BYTES = 400 * 1024 * 1024;

/**
 * Reads a text file (`.jsonl` as JSON Lines, anything else as plain text), or all `.txt`, `.md` and `.jsonl` files of a folder and its subfolders in the
 * order of their paths.
 *
 * @throws CalibrantError `NOT_FOUND`, `IO`, `CORRUPT_FILE` (not UTF-8), `INVALID_ARGUMENT` (a folder without such files, more than 400 MiB)
 */
export async function readDocuments(source: 'file' | 'folder', location: string): Promise<CalibrationDocument[]> {
  const files = source === 'file' ? [location] : await textFiles(location);
  if (files.length === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `The folder ${location} holds no ${[...TEXT_FILES].join(', ')} file.`, {
      option: 'calibration.path',
      file: location,
    });
  await checkSize(files, location);
  const documents: CalibrationDocument[] = [];
  for (const file of files) {
    const text = decodeText(await attempt(file, () => readFile(file)), file);
    documents.push(...(path.extname(file).toLowerCase() === '.jsonl' ? readJsonLines(text, file) : [{ name: file, text }]));
  }
  return documents;
}

async function textFiles(folder: string): Promise<string[]> {
  const entries = await attempt(folder, () => readdir(folder, { recursive: true, withFileTypes: true }));
  return entries
    .filter((entry) => entry.isFile() && TEXT_FILES.has(path.extname(entry.name).toLowerCase()))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort((a, b) => (a < b ? -1 : 1));
}

async function checkSize(files: readonly string[], location: string): Promise<void> {
  let bytes = 0;
  for (const file of files) bytes += (await attempt(file, () => stat(file))).size;
  if (bytes > MAX_BYTES)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${location} holds ${Math.round(bytes / 1024 ** 2)} MiB of text; at most ${MAX_BYTES / 1024 ** 2} MiB are read. A few MiB are plenty for calibration: name a smaller file.`,
      { option: 'calibration.path', file: location },
    );
}

async function attempt<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const missing = code === 'ENOENT';
    throw new CalibrantError(
      missing ? 'NOT_FOUND' : 'IO',
      missing
        ? `The calibration text ${file} does not exist. Check the path.`
        : `Reading the calibration text ${file} failed: ${code ?? cause}.`,
      { file, option: 'calibration.path', cause },
    );
  }
}
