import { createWebgpuBackend } from '@calibrant/backend-webgpu';
import { type Backend, fitAffine, groupsPerRow, roundAffine, roundHalfEven, type Tensor, tensor } from '@calibrant/core';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { describeWithAdapter } from './adapter.js';
import { normal } from './numbers.js';

/**
 * WGSL lets a device miss a quotient by 2.5 ulp where the reference rounds it correctly. Two such quotients (scale, then weight / scale)
 * are off by at most 6e-7 of their size, and no quotient on a grid is larger than its number of levels.
 */
const quotientError = (bits: number): number => 2 ** bits * 6e-7;

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

  const distanceFromTie = (value: number): number => Math.abs(Math.abs(value - Math.floor(value)) - 0.5);

  it('is what the tests below are about', () => {
    for (const kernel of [fitAffine, roundAffine]) expect(backend.variant(kernel as never)).toBe('gpujs');
  });

  it('gives the codes of the reference but where a quotient lies on a tie within the precision of a device division', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rows: fc.integer({ min: 1, max: 9 }),
          columns: fc.integer({ min: 1, max: 150 }),
          groupSize: fc.constantFrom(1, 3, 32, 128, 150),
          bits: fc.integer({ min: 2, max: 8 }),
          symmetric: fc.boolean(),
          magnitude: fc.constantFrom(1e-6, 0.02, 1, 3e4),
          seed: fc.nat(1e6),
        }),
        async ({ rows, columns, groupSize, bits, symmetric, magnitude, seed }) => {
          const w = normal([rows, columns], seed);
          for (let i = 0; i < w.data.length; i++) (w.data as Float32Array)[i] *= magnitude;
          const found = await quantize(w, bits, groupSize, symmetric);
          const grid = fitAffine.reference({ w }, { bits, groupSize, symmetric }, { start: 0, end: rows });
          const inputs = { w, ...grid } as Parameters<typeof roundAffine.reference>[0];
          const { codes } = roundAffine.reference(inputs, { bits, groupSize }, { start: 0, end: rows });
          const groups = groupsPerRow(columns, groupSize);
          const near = quotientError(bits);
          for (let group = 0; group < rows * groups; group++) {
            const row = Math.floor(group / groups);
            const start = row * columns + (group % groups) * groupSize;
            const end = Math.min(start + groupSize, (row + 1) * columns);
            const scale = grid.scales.data[group] as number;
            expect(Math.abs((found.scales.data[group] as number) - scale)).toBeLessThanOrEqual(3e-7 * scale);
            if (found.zeroPoints.data[group] !== grid.zeroPoints.data[group]) {
              const low = Math.min(0, ...(w.data as Float32Array).subarray(start, end));
              expect(distanceFromTie(-low / scale)).toBeLessThanOrEqual(near);
              continue;
            }
            for (let i = start; i < end; i++)
              if (found.codes.data[i] !== codes.data[i]) expect(distanceFromTie((w.data[i] as number) / scale)).toBeLessThanOrEqual(near);
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

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
      expect(found.scales.data[1]).toBeCloseTo(want.scales.data[1] as number, 6);
      // Zeros are coded exactly, and the largest weight is the top of the grid.
      expect([...found.codes.data]).toEqual([...Array(4).fill(want.zeroPoints.data[0]), 15, 15, 15, 15]);
    }
  });
});
