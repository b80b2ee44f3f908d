import { packColumns, packRows, unpackColumns, unpackRows, wordsFor } from '@calibrant/checkpoint';
import { createReferenceBackend, type Tensor, tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

const backend = createReferenceBackend();
const hex = ({ data }: Tensor) => [...(data as Int32Array)].map((word) => (word >>> 0).toString(16).padStart(8, '0'));
const matrix = (rows: number, columns: number, codes: Uint8Array) => tensor('u8', [rows, columns], codes);
/** The codes (7i + 3) mod 2^bits, whose words were computed with the loops of AutoGPTQ and compressed-tensors. */
const known = (bits: number) =>
  matrix(
    1,
    32,
    Uint8Array.from({ length: 32 }, (_, i) => (7 * i + 3) % 2 ** bits),
  );
const random = (rows: number, columns: number, bits: number, seed: number) =>
  matrix(
    rows,
    columns,
    Uint8Array.from({ length: rows * columns }, (_, i) => ((i * 2654435761 + seed) >>> 7) % 2 ** bits),
  );

describe('packed rows', () => {
  it('hold the signed codes −8 … −1, stored as 0 … 7, as the word 76543210', async () => {
    expect(hex(await packRows(backend, matrix(1, 8, Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7)), 4))).toEqual(['76543210']);
  });

  it.each([
    [2, '1b1b1b1b 1b1b1b1b'],
    [3, '53977053 70539770 97705397'],
    [4, '4d6f81a3 c5e7092b 4d6f81a3 c5e7092b'],
    [8, '18110a03 342d261f 5049423b 6c655e57 88817a73 a49d968f c0b9b2ab dcd5cec7'],
  ])('of %i bits equal the known words', async (bits, words) => {
    expect(hex(await packRows(backend, known(bits), bits))).toEqual(words.split(' '));
  });

  it('of 3 bits are also read as older versions padded them, ten to a word', async () => {
    const old = tensor('i32', [1, 4], Int32Array.of(0x13977053, 0x014e5dc1, 0x37053977, 0x00000025));
    expect(await unpackRows(backend, old, 3, 32, 10)).toEqual(known(3));
  });

  it('begin each row at a new word and come back, for any size and width', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 70 }),
        fc.nat(),
        async (bits, rows, columns, seed) => {
          const codes = random(rows, columns, bits, seed);
          const packed = await packRows(backend, codes, bits);
          expect(packed.shape).toEqual([rows, wordsFor(columns, bits)]);
          expect(await unpackRows(backend, packed, bits, columns)).toEqual(codes);
        },
      ),
    );
  });
});

describe('packed columns', () => {
  it('run along the rows: eight 4-bit zero points of one group make one word', async () => {
    const codes = Uint8Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? i / 2 : 15 - (i - 1) / 2));
    expect(hex(await packColumns(backend, matrix(8, 2, codes), 4))).toEqual(['76543210', '89abcdef']);
  });

  it('come back for any size and width', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 4 }),
        async (bits, rows, columns) => {
          const codes = random(rows, columns, bits, 0);
          const packed = await packColumns(backend, codes, bits);
          expect(packed.shape).toEqual([wordsFor(rows, bits), columns]);
          expect(await unpackColumns(backend, packed, bits, rows)).toEqual(codes);
        },
      ),
    );
  });
});
