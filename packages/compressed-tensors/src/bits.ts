import { packCodes, unpackCodes } from '@calibrant/core';

/** 32-bit words that hold `count` codes of `bits` as a dense bitstream. */
export const wordsFor = (count: number, bits: number): number => Math.ceil((count * bits) / 32);

/** Packs each row of codes `[rows, columns]`, LSB first, into whole 32-bit words: little-endian bytes `[rows, words · 4]`. */
export function packRows(codes: Uint8Array, columns: number, bits: number): Uint8Array {
  const rows = columns === 0 ? 0 : codes.length / columns;
  const width = wordsFor(columns, bits) * 4;
  const packed = new Uint8Array(rows * width);
  for (let r = 0; r < rows; r++) packed.set(packCodes(codes.subarray(r * columns, (r + 1) * columns), bits), r * width);
  return packed;
}

/** Packs `[rows, columns]` along the rows: words `[ceil(rows · bits / 32), columns]`. */
export function packColumns(codes: Uint8Array, columns: number, bits: number): Int32Array {
  const rows = columns === 0 ? 0 : codes.length / columns;
  const words = wordsFor(rows, bits);
  const packed = new Int32Array(words * columns);
  const column = new Uint8Array(rows);
  for (let c = 0; c < columns; c++) {
    for (let r = 0; r < rows; r++) column[r] = codes[r * columns + c];
    const one = new Int32Array(packRows(column, rows, bits).buffer);
    for (let w = 0; w < words; w++) packed[w * columns + c] = one[w];
  }
  return packed;
}

/**
 * The codes of one packed row. With `perWord` each word holds that many codes and its top bits are padding, as compressed-tensors wrote
 * widths that do not divide 32 up to version 0.12; otherwise codes run on across words.
 */
export function unpackRow(words: Uint8Array, bits: number, count: number, perWord?: number): Uint8Array {
  if (perWord === undefined) return unpackCodes(words, bits, count);
  const codes = new Uint8Array(count);
  for (let at = 0, word = 0; at < count; at += perWord, word += 4)
    codes.set(unpackCodes(words.subarray(word, word + 4), bits, Math.min(perWord, count - at)), at);
  return codes;
}

/** The inverse of {@link packColumns}, `rows` codes per column. */
export function unpackColumns(packed: Int32Array, columns: number, bits: number, rows: number, perWord?: number): Uint8Array {
  const words = columns === 0 ? 0 : packed.length / columns;
  const codes = new Uint8Array(rows * columns);
  const column = new Int32Array(words);
  for (let c = 0; c < columns; c++) {
    for (let w = 0; w < words; w++) column[w] = packed[w * columns + c];
    const one = unpackRow(new Uint8Array(column.buffer), bits, rows, perWord);
    for (let r = 0; r < rows; r++) codes[r * columns + c] = one[r];
  }
  return codes;
}
