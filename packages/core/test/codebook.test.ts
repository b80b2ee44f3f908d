import {
  type Codebook,
  createReferenceBackend,
  decodeOne,
  dequantizeCodebook,
  E2M1,
  erf,
  fitCodebook,
  NF4,
  nearestCode,
  roundCodebook,
  sortCodebook,
  tensor,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

/** The x at which the standard normal distribution reaches p, by bisection. */
function normalQuantile(p: number): number {
  let [low, high] = [-10, 10];
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (0.5 * (1 + erf(middle / Math.SQRT2)) < p) low = middle;
    else high = middle;
  }
  return low;
}

describe('the codebooks', () => {
  it('NF4 is made of the quantiles that its paper describes', () => {
    const offset = 0.9677083;
    const spaced = (count: number) =>
      Array.from({ length: count - 1 }, (_, i) => normalQuantile(offset + ((0.5 - offset) * i) / (count - 1)));
    const made = [...spaced(9), 0, ...spaced(8).map((x) => -x)].sort((a, b) => a - b);
    const largest = Math.max(...made);
    expect(NF4.values.length).toBe(16);
    made.forEach((x, i) => {
      expect(Math.abs(x / largest - NF4.values[i])).toBeLessThan(2e-7);
    });
  });

  it('E2M1 is a float of 1 sign, 2 exponent and 1 mantissa bits with bias 1', () => {
    E2M1.values.forEach((value, code) => {
      const [sign, exponent, mantissa] = [code >> 3, (code >> 1) & 3, code & 1];
      const magnitude = exponent === 0 ? mantissa / 2 : (1 + mantissa / 2) * 2 ** (exponent - 1);
      expect(value).toBe(sign ? -magnitude : magnitude);
    });
  });

  const books: [string, Codebook][] = [
    ['nf4', NF4],
    ['e2m1', E2M1],
    ['a codebook out of order', { name: 'x', bits: 2, values: [3, -1, 0.25, -1], ties: 'lower' }],
    ['a codebook of one value', { name: 'y', bits: 0, values: [2], ties: 'even' }],
  ];

  it.each(books)('%s: nearestCode finds the nearest value of all', (_, book) => {
    const sorted = sortCodebook(book);
    fc.assert(
      fc.property(fc.float({ min: -8, max: 8, noNaN: true }), (x) => {
        const distance = (code: number) => Math.abs(book.values[code] - x);
        const best = Math.min(...book.values.map((_value, code) => distance(code)));
        expect(distance(nearestCode(sorted, x))).toBe(best);
      }),
      { numRuns: 1000 },
    );
    book.values.forEach((value, code) => {
      expect(book.values[nearestCode(sorted, value)]).toBe(value === 0 ? 0 : value);
      expect(nearestCode(sorted, value)).toBeLessThanOrEqual(code);
    });
  });

  it('break ties as their formats do', () => {
    const [nf4, e2m1] = [sortCodebook(NF4), sortCodebook(E2M1)];
    for (let code = 0; code < 15; code++) expect(nearestCode(nf4, (NF4.values[code] + NF4.values[code + 1]) / 2)).toBe(code);
    // 0.25 → 0, 0.75 → 1, 1.25 → 1, 1.75 → 2, 2.5 → 2, 3.5 → 4, 5 → 4
    expect([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5].map((x) => nearestCode(e2m1, x))).toEqual([0, 2, 2, 4, 4, 6, 6]);
    expect([-0.25, -0.75, -5].map((x) => nearestCode(e2m1, x))).toEqual([0, 10, 14]);
    expect([100, -100, Infinity].map((x) => nearestCode(e2m1, x))).toEqual([7, 15, 7]);
    // The same rule as the other floats of this family: E4M3 between 1 and 1.125 goes to the even pattern.
    expect(decodeOne('f8_e4m3', 0x38)).toBe(1);
  });
});

describe('rounding to a codebook', () => {
  async function roundTrip(book: Codebook, rowsOfW: number[][], groupSize: number) {
    const backend = createReferenceBackend();
    const w = await backend.upload(tensor('f32', [rowsOfW.length, rowsOfW[0].length], Float32Array.from(rowsOfW.flat())));
    const codebook = await backend.upload(tensor('f32', [book.values.length], Float32Array.from(book.values)));
    const largest = Math.max(...book.values.map(Math.abs));
    const { scales } = backend.run(fitCodebook, { w }, { groupSize, largest });
    const { codes } = backend.run(roundCodebook, { w, scales, codebook }, { groupSize, ties: book.ties });
    const back = backend.run(dequantizeCodebook, { codes, scales, codebook }, { groupSize });
    const [s, c, b] = await Promise.all([scales, codes, back.w].map((handle) => backend.download(handle)));
    return { scales: s, codes: c, back: b };
  }

  it('gives bitsandbytes its bytes: [1, −1] is 0xF0', async () => {
    const { codes, scales } = await roundTrip(NF4, [[1, -1]], 64);
    expect([...scales.data]).toEqual([1]);
    expect(((codes.data[0] as number) << 4) | (codes.data[1] as number)).toBe(0xf0);
  });

  it('keeps the largest magnitude of each group, and errs by half the widest gap at most', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.float({ min: -100, max: 100, noNaN: true }).filter((x) => x === 0 || Math.abs(x) > 1e-20),
          { minLength: 1, maxLength: 40 },
        ),
        fc.integer({ min: 1, max: 16 }),
        fc.constantFrom(NF4, E2M1),
        async (row, groupSize, book) => {
          const { scales, back } = await roundTrip(book, [row], groupSize);
          const sorted = [...sortCodebook(book).values];
          const widest = Math.max(...sorted.slice(1).map((x, i) => x - sorted[i]));
          row.forEach((x, c) => {
            const scale = scales.data[Math.floor(c / groupSize)] as number;
            expect(Math.abs(x - (back.data[c] as number))).toBeLessThanOrEqual((widest / 2) * scale + 2 ** -21 * Math.abs(x));
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('gives a group of zeros scale 1 and zeros back', async () => {
    for (const book of [NF4, E2M1]) {
      const { scales, back } = await roundTrip(book, [[0, 0, 3]], 2);
      expect(scales.data[0]).toBe(1);
      expect([...back.data].slice(0, 2)).toEqual([0, 0]);
      expect(back.data[2]).toBeCloseTo(3, 6);
    }
  });

  it('refuses codes that the codebook does not have, and shapes that do not fit', async () => {
    const backend = createReferenceBackend();
    const codes = await backend.upload(tensor('u8', [1, 1], Uint8Array.of(16)));
    const scales = await backend.upload(tensor('f32', [1, 1], Float32Array.of(1)));
    const codebook = await backend.upload(tensor('f32', [16]));
    const { w } = backend.run(dequantizeCodebook, { codes, scales, codebook }, { groupSize: 1 });
    await expect(backend.download(w)).rejects.toThrow(/code 16 is outside a codebook of 16 entries/);
    const empty = await backend.upload(tensor('f32', [0]));
    expect(() => backend.run(dequantizeCodebook, { codes, scales, codebook: empty }, { groupSize: 1 })).toThrow(/1 to 256 entries/);
    expect(() => backend.run(fitCodebook, { w: scales }, { groupSize: 0, largest: 1 })).toThrow(/must be positive/);
  });
});
