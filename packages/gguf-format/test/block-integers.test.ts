import { tensor } from '@calibrant/core';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { exactIntegers } from '../src/grids/block-integers.js';
import { schemeOf } from '../src/schemes/tensor-types.js';

const ROWS = 3;
const BLOCKS = 4;
const whole = { start: 0, end: ROWS };

/** A grid's codes, and of each block its zero point and a scale that binary16 holds. */
const coded = fc.integer({ min: 2, max: 8 }).chain((bits) =>
  fc.record({
    bits: fc.constant(bits),
    symmetric: bits === 8 ? fc.constant(true) : fc.boolean(),
    codes: fc.uint8Array({ minLength: ROWS * BLOCKS * 32, maxLength: ROWS * BLOCKS * 32, max: 2 ** bits - 1 }),
    zeros: fc.uint8Array({ minLength: ROWS * BLOCKS, maxLength: ROWS * BLOCKS, max: 2 ** bits - 1 }),
    scales: fc.array(
      fc.integer({ min: 1, max: 2047 }).map((mantissa) => mantissa * 2 ** -18),
      { minLength: ROWS * BLOCKS, maxLength: ROWS * BLOCKS },
    ),
  }),
);

describe('codes of integer grids in blocks', () => {
  it('have the values scale × (code − zero point) there, in WebAssembly as in the reference', async () => {
    await fc.assert(
      fc.asyncProperty(coded, async ({ bits, symmetric, codes, zeros, scales }) => {
        const scheme = schemeOf(exactIntegers(bits, symmetric)!);
        if (scheme.kind !== 'block') throw new Error('A type of integers is made of blocks.');
        const zeroPoints = symmetric ? zeros.map(() => 2 ** (bits - 1)) : zeros;
        const inputs = {
          codes: tensor('u8', [ROWS, BLOCKS * 32], codes),
          zeroPoints: tensor('u8', [ROWS, BLOCKS], zeroPoints),
          scales: tensor('f32', [ROWS, BLOCKS], Float32Array.from(scales)),
        };
        const { blocks } = await runWasm(scheme.integers!.pack, inputs, {});
        expect(blocks.data).toEqual(scheme.integers!.pack.reference(inputs, {}, whole).blocks.data);
        const { x } = scheme.decode.reference({ blocks }, {}, whole);
        expect(x.data).toEqual(Float32Array.from(codes, (code, i) => scales[i >> 5] * (code - zeroPoints[i >> 5])));
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    [2, true, 'Q4_0'],
    [3, false, 'Q4_0'],
    [4, true, 'Q4_0'],
    [4, false, 'Q5_0'],
    [5, true, 'Q5_0'],
    [5, false, 'Q8_0'],
    [7, false, 'Q8_0'],
    [8, true, 'Q8_0'],
    [8, false, undefined],
  ])('of %d bits, symmetric %s, need %s', (bits, symmetric, type) => {
    expect(exactIntegers(bits, symmetric)).toBe(type);
  });
});
