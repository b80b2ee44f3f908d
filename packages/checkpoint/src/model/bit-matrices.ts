import { type Backend, packBits, slice, type Tensor, tensor, transpose, unpackBits, withBuffers } from '@calibrant/core';

/** 32-bit words that hold `count` codes of `bits` as a dense bitstream. */
export const wordsFor = (count: number, bits: number): number => Math.ceil((count * bits) / 32);

/** Packs each row of codes u8 `[rows, columns]`, LSB first, into whole words: i32 `[rows, words]`. */
export async function packRows(backend: Backend, codes: Tensor, bits: number): Promise<Tensor> {
  const [rows, columns] = codes.shape;
  const width = wordsFor(columns, bits);
  if (rows * columns === 0) return tensor('i32', [rows, width]);
  const packed = await withBuffers(backend, async (track) => {
    const handle = track(await backend.upload(codes));
    return backend.download(track(backend.run(packBits, { codes: handle }, { bits }).packed));
  });
  const bytes = withRowLength(packed.data as Uint8Array, rows, width * 4);
  return tensor('i32', [rows, width], new Int32Array(bytes.buffer, bytes.byteOffset, rows * width));
}

/**
 * The codes u8 `[rows, columns]` of packed rows i32 `[rows, words]`. With `perWord` each word holds that many codes and its top bits are padding, as
 * compressed-tensors wrote widths that do not divide 32 up to version 0.12; otherwise codes run on across words.
 */
export async function unpackRows(backend: Backend, words: Tensor, bits: number, columns: number, perWord?: number): Promise<Tensor> {
  const [rows, width] = words.shape;
  if (rows * columns === 0) return tensor('u8', [rows, columns]);
  const bytes = new Uint8Array(words.data.buffer, words.data.byteOffset, words.data.byteLength);
  return withBuffers(backend, async (track) => {
    if (perWord !== undefined) {
      const packed = track(await backend.upload(tensor('u8', [rows * width, 4], bytes)));
      const { codes } = backend.run(unpackBits, { packed }, { bits, columns: perWord });
      const padded = (await backend.download(track(codes))).data as Uint8Array;
      return tensor('u8', [rows, columns], withRowLength(padded, rows, columns));
    }
    const rowBytes = Math.ceil((columns * bits) / 8);
    const packed = track(await backend.upload(tensor('u8', [rows, rowBytes], withRowLength(bytes, rows, rowBytes))));
    return backend.download(track(backend.run(unpackBits, { packed }, { bits, columns }).codes));
  });
}

/** Packs codes u8 `[rows, columns]` along the rows: words i32 `[words, columns]`. */
export async function packColumns(backend: Backend, codes: Tensor, bits: number): Promise<Tensor> {
  return transposed(backend, await packRows(backend, await transposed(backend, codes), bits));
}

/** The inverse of {@link packColumns}, `rows` codes per column. */
export async function unpackColumns(backend: Backend, words: Tensor, bits: number, rows: number, perWord?: number): Promise<Tensor> {
  return transposed(backend, await unpackRows(backend, await transposed(backend, words), bits, rows, perWord));
}

/** A matrix of any type turned by the backend. */
export async function transposed(backend: Backend, matrix: Tensor): Promise<Tensor> {
  const [rows, columns] = matrix.shape;
  if (rows * columns === 0 || rows === 1 || columns === 1) return { ...matrix, shape: [columns, rows] };
  return withBuffers(backend, async (track) => {
    const x = track(await backend.upload(matrix));
    return backend.download(track(backend.run(transpose, { x }, {}).y));
  });
}

/** Columns `[start, end)` of a matrix. */
export function columnsOf(matrix: Tensor, start: number, end: number): Tensor {
  const [rows, columns] = matrix.shape;
  if (start === 0 && end === columns) return matrix;
  return slice.reference({ x: matrix }, { rowStart: 0, rowEnd: rows, columnStart: start, columnEnd: end }, { start: 0, end: rows }).y;
}

/** Rows of bytes cut or filled up with zeros to another length. */
function withRowLength(bytes: Uint8Array, rows: number, length: number): Uint8Array {
  const found = bytes.length / rows;
  if (found === length && bytes.byteOffset % 4 === 0) return bytes;
  const result = new Uint8Array(rows * length);
  for (let r = 0; r < rows; r++) result.set(bytes.subarray(r * found, r * found + Math.min(found, length)), r * length);
  return result;
}
