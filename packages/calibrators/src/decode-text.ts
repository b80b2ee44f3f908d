import { CalibrantError } from '@calibrant/core';
import type { CalibrationDocument } from './from-text.js';

/**
 * Decodes UTF-8 and refuses what is not.
 *
 * @throws CalibrantError `CORRUPT_FILE` with the offset of the first bad byte
 */
export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const offset = firstBadByte(bytes);
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${name} is not UTF-8 text: byte ${offset} (0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}) is not valid there. Save the file as UTF-8.`,
      { file: name, offset, cause },
    );
  }
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
  return Math.min(good, bytes.length - 1);
}

/**
 * Reads JSON Lines: one object per line with its text under `text`; empty lines are skipped. Each line is a document.
 *
 * @throws CalibrantError `CORRUPT_FILE` that names the line
 */
export function readJsonLines(text: string, name: string): CalibrationDocument[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const where = `${name}, line ${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new CalibrantError('CORRUPT_FILE', `${where} is not JSON: ${(cause as Error).message}.`, { file: name, cause });
    }
    const found = (value as { text?: unknown } | null)?.text;
    if (typeof found !== 'string')
      throw new CalibrantError('CORRUPT_FILE', `${where} must be an object with a string "text".`, { file: name });
    return [{ name: where, text: found }];
  });
}
