import { openSource } from '@calibrant/checkpoint';
import { type ByteSource, CalibrantError, type RunOptions } from '@calibrant/core';
import type { TaskRow } from '@calibrant/eval';
import { parquetReadObjects } from 'hyparquet';

/** A row and its place, for messages. */
export interface PlacedRow {
  readonly row: TaskRow;
  readonly where: string;
}

/** Larger files hold something else than questions. */
const MAX_BYTES = 2 ** 30;

/**
 * Reads the rows of a data set from a file or its URL: parquet, JSON lines, or one JSON array.
 *
 * @throws CalibrantError `NOT_FOUND`, `CORRUPT_FILE`, `INVALID_ARGUMENT` for rows that are no objects
 */
export async function readRows(file: string, { signal }: Pick<RunOptions, 'signal'>): Promise<PlacedRow[]> {
  const source = await openSource(file, signal ? { signal } : {});
  try {
    if (source.size > MAX_BYTES)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `${file} has ${source.size} bytes; a task has at most ${MAX_BYTES}. Give a part of it.`,
        { file },
      );
    const magic = source.size >= 4 ? new TextDecoder('latin1').decode(await source.read(0, 4)) : '';
    return magic === 'PAR1' ? await readParquet(source) : readJson(await readText(source), file);
  } finally {
    await source.close();
  }
}

async function readParquet(source: ByteSource): Promise<PlacedRow[]> {
  const file = {
    byteLength: source.size,
    async slice(start: number, end = source.size) {
      const bytes = await source.read(start, end - start);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    },
  };
  const rows = await parquetReadObjects({ file }).catch((cause: Error) => {
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${source.name} cannot be read as parquet: ${cause.message}. Check that it is complete, or convert it to JSON lines.`,
      {
        file: source.name,
        cause,
      },
    );
  });
  return rows.map((row, i) => ({ row, where: `${source.name} row ${i + 1}` }));
}

async function readText(source: ByteSource): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size));
  } catch (cause) {
    if (CalibrantError.isInstance(cause)) throw cause;
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${source.name} is neither parquet nor UTF-8 text. Give JSON lines, a JSON array or parquet.`,
      {
        file: source.name,
        cause,
      },
    );
  }
}

function readJson(text: string, file: string): PlacedRow[] {
  if (text.trimStart().startsWith('[')) {
    const list: unknown = parse(text, file);
    return (list as unknown[]).map((row, i) => placed(row, `${file} row ${i + 1}`));
  }
  return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [placed(parse(line, `${file}:${i + 1}`), `${file}:${i + 1}`)]));
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${where} is not JSON: ${(cause as Error).message}. A task has one JSON object per line.`,
      { cause },
    );
  }
}

function placed(row: unknown, where: string): PlacedRow {
  if (typeof row !== 'object' || row === null || Array.isArray(row))
    throw new CalibrantError('INVALID_ARGUMENT', `${where} is not a JSON object. A task has one JSON object per line.`);
  return { row: row as TaskRow, where };
}
