import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { packColumns, packRows, unpackColumns, unpackRow, wordsFor } from '../src/bits.js';

const hex = (bytes: Uint8Array) => [...new Uint32Array(bytes.slice().buffer)].map((word) => word.toString(16).padStart(8, '0'));
/** The codes (7i + 3) mod 2^bits, whose words were computed with the loops of AutoGPTQ and compressed-tensors. */
const known = (bits: number) => Uint8Array.from({ length: 32 }, (_, i) => (7 * i + 3) % 2 ** bits);

describe('packed rows', () => {
  it('hold the signed codes −8 … −1, stored as 0 … 7, as the word 76543210', () => {
    expect(hex(packRows(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7), 8, 4))).toEqual(['76543210']);
  });

  it.each([
    [2, '1b1b1b1b 1b1b1b1b'],
    [3, '53977053 70539770 97705397'],
    [4, '4d6f81a3 c5e7092b 4d6f81a3 c5e7092b'],
    [8, '18110a03 342d261f 5049423b 6c655e57 88817a73 a49d968f c0b9b2ab dcd5cec7'],
  ])('of %i bits equal the known words', (bits, words) => {
    expect(hex(packRows(known(bits), 32, bits))).toEqual(words.split(' '));
  });

  it('of 3 bits are also read as older versions padded them, ten to a word', () => {
    const old = new Uint8Array(Uint32Array.of(0x13977053, 0x014e5dc1, 0x37053977, 0x00000025).buffer);
    expect(unpackRow(old, 3, 32, 10)).toEqual(known(3));
  });

  it('begin each row at a new word and come back, for any size and width', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 70 }),
        fc.nat(),
        (bits, rows, columns, seed) => {
          const codes = Uint8Array.from({ length: rows * columns }, (_, i) => ((i * 2654435761 + seed) >>> 7) % 2 ** bits);
          const packed = packRows(codes, columns, bits);
          const width = wordsFor(columns, bits) * 4;
          expect(packed.length).toBe(rows * width);
          for (let r = 0; r < rows; r++)
            expect(unpackRow(packed.subarray(r * width, (r + 1) * width), bits, columns)).toEqual(
              codes.subarray(r * columns, (r + 1) * columns),
            );
        },
      ),
    );
  });
});

describe('packed columns', () => {
  it('run along the rows: eight 4-bit zero points of one group make one word', () => {
    const codes = Uint8Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? i / 2 : 15 - (i - 1) / 2));
    expect([...packColumns(codes, 2, 4)].map((word) => (word >>> 0).toString(16))).toEqual(['76543210', '89abcdef']);
  });

  it('come back for any size and width', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 4 }),
        (bits, rows, columns) => {
          const codes = Uint8Array.from({ length: rows * columns }, (_, i) => ((i * 2654435761) >>> 7) % 2 ** bits);
          const packed = packColumns(codes, columns, bits);
          expect(packed.length).toBe(wordsFor(rows, bits) * columns);
          expect(unpackColumns(packed, columns, bits, rows)).toEqual(codes);
        },
      ),
    );
  });
});
