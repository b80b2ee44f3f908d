import { CalibrantError } from '@calibrant/core';
import type { CalibrationDocument } from './from-text.js';
import { type RenderMessages, textOfRecord } from './records.js';

/**
 * Decodes UTF-8 and refuses what is not.
 *
 * @throws CalibrantError `CORRUPT_FILE` with the offset of the first bad byte
 */
export function decodeText(bytes: Uint8Array, name: string): string {
  if (isUtf16(bytes))
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${name} is UTF-16 text, and UTF-8 is expected. Save it as UTF-8: iconv -f UTF-16 -t UTF-8 ${name} > converted.txt`,
      { file: name, offset: 0 },
    );
  const zero = bytes.subarray(0, LOOKED_AT).indexOf(0);
  if (zero >= 0)
    throw new CalibrantError('CORRUPT_FILE', `${name} is not text: byte ${zero} is 0, as in binary files. Name a UTF-8 text file.`, {
      file: name,
      offset: zero,
    });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const offset = firstBadByte(bytes);
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${name} is not UTF-8 text: byte ${offset} (0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}) is not valid there. Save the file as UTF-8, if it is Latin-1 by iconv -f LATIN1 -t UTF-8 ${name} > converted.txt`,
      { file: name, offset, cause },
    );
  }
}

const LOOKED_AT = 4096;

/** By its byte order mark, or by zeros at every other byte, which texts in UTF-8 do not have. */
function isUtf16(bytes: Uint8Array): boolean {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) return true;
  const start = bytes.subarray(0, LOOKED_AT);
  const zeros = [0, 0];
  start.forEach((byte, i) => {
    if (byte === 0) zeros[i % 2]++;
  });
  return start.length >= 4 && Math.max(...zeros) > start.length / 4 && Math.min(...zeros) < start.length / 16;
}

/** The longest prefix that decodes ends where the first bad sequence starts to be one; found by bisection. */
function firstBadByte(bytes: Uint8Array): number {
  const valid = (length: number): boolean => {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let [good, bad] = [0, bytes.length + 1];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (middle <= bytes.length && valid(middle)) good = middle;
    else bad = middle;
  }
  // Of a sequence that breaks off its first byte is the bad one.
  for (let back = 1; back <= 3 && back <= good; back++) {
    const byte = bytes[good - back];
    if (byte >= 0xc0 && back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2)) return good - back;
    if (byte < 0x80 || byte >= 0xc0) break;
  }
  return Math.min(good, bytes.length - 1);
}

/**
 * Reads JSON Lines: one object per line with its text under `text`, or a conversation under `messages` or `conversations`, which `render` writes as text; empty lines are
 * skipped. Each line is a document.
 *
 * @throws CalibrantError `CORRUPT_FILE` that names the line
 */
export function readJsonLines(text: string, name: string, render?: RenderMessages): CalibrationDocument[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const where = `${name}, line ${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new CalibrantError('CORRUPT_FILE', `${where} is not JSON: ${(cause as Error).message}.`, { file: name, cause });
    }
    return [{ name: where, text: textOfRecord(value, where, render) }];
  });
}

/**
 * Reads a JSON file: a list of records as {@link readJsonLines} has them, one record, or JSON Lines under this name.
 *
 * @throws CalibrantError `CORRUPT_FILE` that names the entry or line
 */
export function readJson(text: string, name: string, render?: RenderMessages): CalibrationDocument[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return readJsonLines(text, name, render);
  }
  const records = Array.isArray(value) ? value : [value];
  return records.map((record, index) => {
    const where = Array.isArray(value) ? `${name}, entry ${index}` : name;
    return { name: where, text: textOfRecord(record, where, render) };
  });
}
