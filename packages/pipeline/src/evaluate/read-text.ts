import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CalibrantError } from '@calibrant/core';

export interface EvaluationText {
  readonly file: string;
  readonly text: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** @throws CalibrantError `NOT_FOUND` for a text that cannot be read, `INVALID_ARGUMENT` for one that is empty or not UTF-8. */
export async function readText(file: string): Promise<EvaluationText> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new CalibrantError(
      'NOT_FOUND',
      `Cannot read the text ${file}: ${(cause as NodeJS.ErrnoException).code}. Give the path of a UTF-8 text file.`,
      { file, cause },
    );
  }
  if (bytes.length === 0) throw new CalibrantError('INVALID_ARGUMENT', `The text ${file} is empty. Give a text to measure on.`, { file });
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { file, text, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  } catch (cause) {
    throw new CalibrantError('INVALID_ARGUMENT', `The text ${file} is not valid UTF-8. Convert it first, for example with iconv.`, {
      file,
      cause,
    });
  }
}
