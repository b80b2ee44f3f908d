import { type Backend, gather, packBits, type Tensor, tensor, transpose, unpackBits, withBuffers } from '@calibrant/core';

/** Nibble i of a word holds output `8c + ORDER[i]`: the order in which AWQ's GEMM kernel takes them apart. */
const ORDER = [0, 2, 4, 6, 1, 3, 5, 7];
/** Nibble that holds output `8c + k`. */
const NIBBLE_OF = [0, 4, 1, 5, 2, 6, 3, 7];

/** Words i32 `[columns, rows / 8]` of codes u8 `[rows, columns]`; eight rows share a word. */
export async function packNibbles(backend: Backend, codes: Tensor): Promise<Tensor> {
  const [rows, columns] = codes.shape;
  return withBuffers(backend, async (track) => {
    const table = track(await backend.upload(codes));
    const ids = track(await backend.upload(withinEights(rows, ORDER)));
    const ordered = track(backend.run(gather, { table, ids }, {}).y);
    const turned = track(backend.run(transpose, { x: ordered }, {}).y);
    const packed = (await backend.download(track(backend.run(packBits, { codes: turned }, { bits: 4 }).packed))).data as Uint8Array;
    return tensor('i32', [columns, rows / 8], new Int32Array(packed.buffer, packed.byteOffset, packed.length / 4));
  });
}

/** The inverse of {@link packNibbles}: codes u8 `[rows, columns]` of words i32 `[columns, rows / 8]`. */
export async function unpackNibbles(backend: Backend, words: Tensor): Promise<Tensor> {
  const [columns, width] = words.shape;
  const rows = width * 8;
  return withBuffers(backend, async (track) => {
    const bytes = new Uint8Array(words.data.buffer, words.data.byteOffset, words.data.byteLength);
    const packed = track(await backend.upload(tensor('u8', [columns, width * 4], bytes)));
    const ordered = track(backend.run(unpackBits, { packed }, { bits: 4, columns: rows }).codes);
    const turned = track(backend.run(transpose, { x: ordered }, {}).y);
    const ids = track(await backend.upload(withinEights(rows, NIBBLE_OF)));
    return backend.download(track(backend.run(gather, { table: turned, ids }, {}).y));
  });
}

function withinEights(count: number, order: readonly number[]): Tensor {
  return tensor(
    'i32',
    [count],
    Int32Array.from({ length: count }, (_, i) => i - (i % 8) + order[i % 8]),
  );
}
