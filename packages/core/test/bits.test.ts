import { createReferenceBackend, packBits, packCodes, tensor, unpackBits, unpackCodes } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

const words = (bytes: Uint8Array) => [...new Uint32Array(bytes.slice().buffer)].map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('packing of codes', () => {
  // Made with AutoGPTQ's own loop: codes (7i + 3) mod 2^bits for i = 0 … 31.
  it.each([
    [2, '1b1b1b1b 1b1b1b1b'],
    [3, '53977053 70539770 97705397'],
    [4, '4d6f81a3 c5e7092b 4d6f81a3 c5e7092b'],
    [8, '18110a03 342d261f 5049423b 6c655e57 88817a73 a49d968f c0b9b2ab dcd5cec7'],
  ])('gives the words of AutoGPTQ for %i bits', (bits, expected) => {
    const codes = Uint8Array.from({ length: 32 }, (_, i) => (7 * i + 3) % 2 ** bits);
    expect(words(packCodes(codes, bits))).toBe(expected);
    expect(unpackCodes(packCodes(codes, bits), bits, 32)).toEqual(codes);
  });

  const codesOf = (bits: number) => fc.uint8Array({ max: 2 ** bits - 1, maxLength: 100 });

  it('gives back any codes of 1 to 8 bits, and equals the bits written one by one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }).chain((bits) => fc.tuple(fc.constant(bits), codesOf(bits))),
        ([bits, codes]) => {
          const packed = packCodes(codes, bits);
          const expected = new Uint8Array(Math.ceil((codes.length * bits) / 8));
          codes.forEach((code, i) => {
            for (let b = 0; b < bits; b++) if ((code >> b) & 1) expected[(i * bits + b) >> 3] |= 1 << ((i * bits + b) & 7);
          });
          expect(packed).toEqual(expected);
          expect(unpackCodes(packed, bits, codes.length)).toEqual(codes);
        },
      ),
    );
  });

  it('works by rows in the kernels, each row padded to a byte', async () => {
    const backend = createReferenceBackend();
    const codes = tensor('u8', [2, 3], Uint8Array.of(1, 2, 3, 7, 0, 5));
    const { packed } = backend.run(packBits, { codes: await backend.upload(codes) }, { bits: 3 });
    expect(packed.shape).toEqual([2, 2]);
    expect([...(await backend.download(packed)).data]).toEqual([0b11010001, 0, 0b01000111, 0b1]);
    const back = backend.run(unpackBits, { packed }, { bits: 3, columns: 3 });
    expect(await backend.download(back.codes)).toEqual(codes);
    expect(() => backend.run(unpackBits, { packed }, { bits: 3, columns: 6 })).toThrow(/take 3 bytes a row, found 2/);
    expect(() => backend.run(unpackBits, { packed }, { bits: 9, columns: 1 })).toThrow(/1 to 8 bits, found 9/);
  });
});
