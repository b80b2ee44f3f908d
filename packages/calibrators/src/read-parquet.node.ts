import { CalibrantError } from '@calibrant/core';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { CalibrationDocument } from './from-text.js';
import { type RenderMessages, textOfRecord } from './records.js';

/** Columns that hold text, see `textOfRecord`. */
const COLUMNS = ['text', 'messages', 'conversations'];

/**
 * Reads the documents of a parquet file, row group after row group, until they hold `maxBytes` of text.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a file that is no parquet or has no column of text
 */
export async function readParquet(file: string, maxBytes: number, render: RenderMessages | undefined): Promise<CalibrationDocument[]> {
  const documents: CalibrationDocument[] = [];
  try {
    const source = await asyncBufferFromFile(file);
    const metadata = await parquetMetadataAsync(source);
    const present = (metadata.schema[0].num_children ?? 0) > 0 ? topColumns(metadata.schema) : [];
    const columns = COLUMNS.filter((name) => present.includes(name)).slice(0, 1);
    if (columns.length === 0)
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${file} has no column ${COLUMNS.join(', ')}; it has ${present.join(', ') || 'none'}. Write its text as JSON Lines with a "text" each.`,
        { file },
      );
    let [row, bytes] = [0, 0];
    for (const group of metadata.row_groups) {
      const end = row + Number(group.num_rows);
      for (const record of await parquetReadObjects({ file: source, metadata, compressors, columns, rowStart: row, rowEnd: end })) {
        const where = `${file}, row ${row++}`;
        const text = textOfRecord(record, where, render);
        bytes += text.length;
        documents.push({ name: where, text });
      }
      if (bytes >= maxBytes) break;
    }
    return documents;
  } catch (cause) {
    if (CalibrantError.isInstance(cause)) throw cause;
    throw new CalibrantError('CORRUPT_FILE', `${file} cannot be read as parquet: ${(cause as Error).message}. Check that it is complete.`, {
      file,
      cause,
    });
  }
}

/** The names of the schema's first level: it lists each element before its children. */
function topColumns(schema: readonly { readonly name: string; readonly num_children?: number }[]): string[] {
  const names: string[] = [];
  let at = 1;
  const skip = (): void => {
    const children = schema[at++].num_children ?? 0;
    for (let child = 0; child < children; child++) skip();
  };
  while (at < schema.length) {
    names.push(schema[at].name);
    skip();
  }
  return names;
}
