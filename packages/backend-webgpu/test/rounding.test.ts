import { createWebgpuBackend } from '@calibrant/backend-webgpu';
import { type Backend, createRng, fitAffine, roundAffine, roundHalfEven, type Tensor, tensor } from '@calibrant/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { correctQuotient, roundedQuotient } from '../src/gpujs/quotients.js';
import { describeWithAdapter } from './adapter.js';
import { normal } from './numbers.js';

/** Weights of which most lie on or within a few units in the last place of a tie between two codes, and their scales. */
function nearTies(rows: number, columns: number, magnitude: number, seed: number): { w: Tensor; scales: Tensor } {
  const rng = createRng(seed);
  const scales = tensor('f32', [rows, 1]);
  const w = tensor('f32', [rows, columns]);
  for (let r = 0; r < rows; r++) {
    scales.data[r] = magnitude * (0.1 + rng.uniform());
    for (let c = 0; c < columns; c++) {
      const tie = (rng.integer(300) - 150.5) * (scales.data[r] as number);
      w.data[r * columns + c] = tie * (1 + (rng.integer(9) - 4) * 2 ** -24);
    }
  }
  return { w, scales };
}

// In double arithmetic nothing is rounded on the way: the same results there as on a device show that no fusion can change them.
describe('quotients by digits', () => {
  it('are the correctly rounded ones', () => {
    fc.assert(
      fc.property(
        fc.float({ min: Math.fround(1e-25), max: Math.fround(1e25), noNaN: true }),
        fc.integer({ min: 1, max: 8 }),
        (range, bits) => {
          expect(correctQuotient(range, 2 ** bits - 1)).toBe(Math.fround(range / (2 ** bits - 1)));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('are rounded to even where they lie on a tie, once rounded to f32', () => {
    let ties = 0;
    for (const magnitude of [1e-20, 0.01, 1e20]) {
      const { w, scales } = nearTies(50, 60, magnitude, 1);
      w.data.forEach((value, i) => {
        const quotient = Math.fround(Number(value) / Number(scales.data[Math.floor(i / 60)]));
        if (Math.abs(quotient % 1) === 0.5) ties++;
        expect(roundedQuotient(Number(value), Number(scales.data[Math.floor(i / 60)])) + 0).toBe(roundHalfEven(quotient) + 0);
      });
    }
    expect(ties).toBeGreaterThan(1000);
  });
});

describeWithAdapter('rounding.test.ts', 'fitting and rounding by gpu.js kernels', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWebgpuBackend();
  });
  afterAll(() => backend.close());

  async function quantize(w: Tensor, bits: number, groupSize: number, symmetric: boolean) {
    const weight = await backend.upload(w);
    const grid = backend.run(fitAffine, { w: weight }, { bits, groupSize, symmetric });
    const { codes } = backend.run(roundAffine, { w: weight, ...grid }, { bits, groupSize });
    const result = {
      scales: await backend.download(grid.scales),
      zeroPoints: await backend.download(grid.zeroPoints),
      codes: await backend.download(codes),
    };
    backend.free(weight, grid.scales, grid.zeroPoints, codes);
    return result;
  }

  it('is what the tests below are about', () => {
    for (const kernel of [fitAffine, roundAffine]) expect(backend.variant(kernel as never)).toBe('gpujs');
  });

  it('gives the scales, zero points and codes of the reference', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rows: fc.integer({ min: 1, max: 9 }),
          columns: fc.integer({ min: 1, max: 150 }),
          groupSize: fc.constantFrom(1, 3, 32, 128, 150),
          bits: fc.integer({ min: 1, max: 8 }),
          symmetric: fc.boolean(),
          magnitude: fc.constantFrom(1e-15, 1e-6, 0.02, 1, 3e4, 1e15),
          seed: fc.nat(1e6),
        }),
        async ({ rows, columns, groupSize, bits, symmetric, magnitude, seed }) => {
          const w = normal([rows, columns], seed);
          for (let i = 0; i < w.data.length; i++) (w.data as Float32Array)[i] *= magnitude;
          const found = await quantize(w, bits, groupSize, symmetric);
          const grid = fitAffine.reference({ w }, { bits, groupSize, symmetric }, { start: 0, end: rows });
          const inputs = { w, ...grid } as Parameters<typeof roundAffine.reference>[0];
          const { codes } = roundAffine.reference(inputs, { bits, groupSize }, { start: 0, end: rows });
          expect(found.scales.data).toEqual(grid.scales.data);
          expect(found.zeroPoints.data).toEqual(grid.zeroPoints.data);
          expect(found.codes.data).toEqual(codes.data);
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it('gives them also where all weights lie near ties', async () => {
    for (const magnitude of [1e-15, 0.01, 1e15]) {
      const inputs = { ...nearTies(40, 100, magnitude, 2), zeroPoints: tensor('u8', [40, 1], new Uint8Array(40).fill(128)) };
      const { w, scales, zeroPoints } = inputs;
      const attributes = { bits: 8, groupSize: 100 };
      const handles = { w: await backend.upload(w), scales: await backend.upload(scales), zeroPoints: await backend.upload(zeroPoints) };
      const { codes } = roundAffine.reference({ ...inputs, groupIndex: undefined as never }, attributes, { start: 0, end: 40 });
      const found = await backend.download(backend.run(roundAffine, handles, attributes).codes);
      expect(found.data).toEqual(codes.data);
    }
  });

  it('rounds to even on exact ties, and to the ends of the grid', async () => {
    const values = [-9, -2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 3.5, 9];
    const w = await backend.upload(tensor('f32', [1, 10], Float32Array.from(values)));
    const scales = await backend.upload(tensor('f32', [1, 1], Float32Array.of(1)));
    const zeroPoints = await backend.upload(tensor('u8', [1, 1], Uint8Array.of(4)));
    const { codes } = backend.run(roundAffine, { w, scales, zeroPoints }, { bits: 3, groupSize: 10 });
    expect([...(await backend.download(codes)).data]).toEqual(values.map((x) => Math.min(7, Math.max(0, roundHalfEven(x) + 4))));
  });

  it('gives an all-zero and a constant group the grid of the reference', async () => {
    const w = tensor('f32', [1, 8], Float32Array.of(0, 0, 0, 0, 3, 3, 3, 3));
    for (const symmetric of [false, true]) {
      const found = await quantize(w, 4, 4, symmetric);
      const want = fitAffine.reference({ w }, { bits: 4, groupSize: 4, symmetric }, { start: 0, end: 1 });
      expect([...found.zeroPoints.data]).toEqual([...want.zeroPoints.data]);
      expect(found.scales.data[0]).toBe(1);
      expect(found.scales.data[1]).toBe(want.scales.data[1]);
      // Zeros are coded exactly, and the largest weight is the top of the grid.
      expect([...found.codes.data]).toEqual([...Array(4).fill(want.zeroPoints.data[0]), 15, 15, 15, 15]);
    }
  });
});
