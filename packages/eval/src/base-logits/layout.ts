import { CalibrantError } from '@calibrant/core';
import type { TokenScores } from '../scores/token-scores.js';
import { protocolOf, scoredFrom, type TokenWindows } from '../token-windows.js';

/**
 * A base-logits file, all numbers little-endian:
 *
 * | | |
 * | --- | --- |
 * | 8 bytes | `CALBASE1` |
 * | u32 | bytes of the header |
 * | header | JSON, {@link BaseLogitsHeader} |
 * | per window, in order | with n scored tokens: nll f32[n], top i32[n], confidence f32[n], squares f32[n], scales f32[n], codes u16[n · vocabSize], zeros to a multiple of 4, checksum u32 |
 *
 * `nll` … `squares` are the base's own figures without rounding; `codes` and `scales` are those of `encodeLogProbabilities`. The checksum is Fletcher's over 32-bit words
 * (both sums modulo 2^32, xor of the first with the second).
 */
export const MAGIC = 'CALBASE1';

export interface BaseLogitsHeader {
  readonly vocabSize: number;
  readonly protocol: string;
  /** SHA-256 of the windows' ids, lengths and scored parts: equal only for the same text, tokenizer and protocol. */
  readonly tokens: string;
  /** Scored tokens of each window. */
  readonly scored: readonly number[];
  /** What the base was: its name, and a hash that tells it from other models. */
  readonly base: BaseIdentity;
  /** SHA-256 of the text's bytes. */
  readonly text?: string;
}

export interface BaseIdentity {
  readonly name: string;
  readonly sha256?: string;
}

export interface WindowRecord extends TokenScores {
  readonly scales: Float32Array;
  readonly codes: Uint16Array;
}

/** Bytes of one window's record. */
export function recordBytes(scored: number, vocabSize: number): number {
  return 20 * scored + 4 * Math.ceil((scored * vocabSize) / 2) + 4;
}

export function encodeRecord({ nll, top, confidence, squares, scales, codes }: WindowRecord, vocabSize: number): Uint8Array {
  const bytes = new Uint8Array(recordBytes(nll.length, vocabSize));
  let at = 0;
  for (const part of [nll, top, confidence, squares, scales, codes]) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  new DataView(bytes.buffer).setUint32(bytes.length - 4, checksum(bytes), true);
  return bytes;
}

/** @throws CalibrantError `CORRUPT_FILE` when the checksum does not fit. */
export function decodeRecord(read: Uint8Array, scored: number, vocabSize: number, file: string, window: number): WindowRecord {
  const bytes = read.byteOffset % 4 ? read.slice() : read;
  if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 4, true) !== checksum(bytes))
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${file}: the base logits of window ${window} are damaged (their checksum does not fit). Make the file again with --save-base-logits.`,
      { file, window },
    );
  const { buffer, byteOffset } = bytes;
  const floats = (part: number) => new Float32Array(buffer, byteOffset + 4 * part * scored, scored);
  return {
    nll: floats(0),
    top: new Int32Array(buffer, byteOffset + 4 * scored, scored),
    confidence: floats(2),
    squares: floats(3),
    scales: floats(4),
    codes: new Uint16Array(buffer, byteOffset + 20 * scored, scored * vocabSize),
  };
}

function checksum(bytes: Uint8Array): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4 - 1);
  let [first, second] = [0, 0];
  for (const word of words) {
    first = (first + word) | 0;
    second = (second + first) | 0;
  }
  return (first ^ second) >>> 0;
}

/** SHA-256 (hexadecimal) of what a model is asked: ids, lengths, scored parts and protocol. */
export async function hashWindows(windows: TokenWindows): Promise<string> {
  const total = windows.windows.reduce((sum, ids) => sum + ids.length + 2, 0);
  const words = new Int32Array(total);
  let at = 0;
  for (const [index, ids] of windows.windows.entries()) {
    words.set([ids.length, scoredFrom(windows, index)], at);
    words.set(ids, at + 2);
    at += ids.length + 2;
  }
  const name = new TextEncoder().encode(protocolOf(windows));
  const bytes = new Uint8Array(name.length + words.byteLength);
  bytes.set(name);
  bytes.set(new Uint8Array(words.buffer), name.length);
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
