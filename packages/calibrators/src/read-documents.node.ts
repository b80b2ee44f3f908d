import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { decodeText, readJson, readJsonLines } from './decode-text.js';
import type { CalibrationDocument } from './from-text.js';
import { readParquet } from './read-parquet.node.js';
import type { RenderMessages } from './records.js';

const TEXT_FILES = new Set(['.txt', '.md', '.jsonl', '.parquet']);

/** Texts of records; a folder's `.json` files are left alone, since settings are among them. */
const READERS: Readonly<Record<string, typeof readJson>> = { '.jsonl': readJsonLines, '.json': readJson };

/** More than any calibration needs, and more than JavaScript's strings hold. */
const MAX_BYTES = 400 * 1024 * 1024;

/** Text of parquet files beyond this is left out: the files of data sets are often far larger. */
const MAX_PARQUET_TEXT = 64 * 1024 * 1024;

/**
 * Reads a text file (`.jsonl` as JSON Lines, `.json` as a list of such records, `.parquet` by its column of text, anything else as plain text), or all `.txt`, `.md`, `.jsonl` and `.parquet` files of a folder and
 * its subfolders in the order of their paths.
 *
 * @throws CalibrantError `NOT_FOUND`, `IO`, `CORRUPT_FILE` (not UTF-8), `INVALID_ARGUMENT` (a folder without such files, more than 400 MiB)
 */
export async function readDocuments(source: 'file' | 'folder', location: string, render?: RenderMessages): Promise<CalibrationDocument[]> {
  const files = source === 'file' ? [location] : await textFiles(location);
  if (files.length === 0)
    throw new CalibrantError('INVALID_ARGUMENT', `The folder ${location} holds no ${[...TEXT_FILES].join(', ')} file.`, {
      option: 'calibration.path',
      file: location,
    });
  return readFiles(files, location, render);
}

/** Reads the given files in their order, as {@link readDocuments} does. */
export async function readFiles(
  files: readonly string[],
  location: string,
  render: RenderMessages | undefined,
): Promise<CalibrationDocument[]> {
  const extension = (file: string) => path.extname(file).toLowerCase();
  await checkSize(
    files.filter((file) => extension(file) !== '.parquet'),
    location,
  );
  const documents: CalibrationDocument[] = [];
  let parquetText = 0;
  for (const file of files) {
    if (extension(file) === '.parquet') {
      await attempt(file, () => stat(file));
      if (parquetText >= MAX_PARQUET_TEXT) continue;
      const rows = await readParquet(file, MAX_PARQUET_TEXT - parquetText, render);
      for (const { text } of rows) parquetText += text.length;
      for (const row of rows) documents.push(row);
      continue;
    }
    const text = decodeText(await attempt(file, () => readFile(file)), file);
    const read = READERS[extension(file)];
    if (read) for (const document of read(text, file, render)) documents.push(document);
    else documents.push({ name: file, text });
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
