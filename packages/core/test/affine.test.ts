import {
  affineSchemeName,
  dequantizeAffine,
  fitAffine,
  groupsPerRow,
  parseAffineScheme,
  roundAffine,
  roundHalfEven,
  schemeGroupSize,
  tensor,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

interface Grid {
  bits: number;
  groupSize: number;
  symmetric: boolean;
}

function quantize(rowsOfW: number[][], { bits, groupSize, symmetric }: Grid) {
  const range = { start: 0, end: rowsOfW.length };
  const w = tensor('f32', [rowsOfW.length, rowsOfW[0].length], Float32Array.from(rowsOfW.flat()));
  const { scales, zeroPoints } = fitAffine.reference({ w }, { bits, groupSize, symmetric }, range);
  const inputs = { w, scales, zeroPoints, groupIndex: undefined as never };
  const { codes } = roundAffine.reference(inputs, { bits, groupSize }, range);
  const back = dequantizeAffine.reference({ ...inputs, codes }, { groupSize }, range);
  return { w, scales, zeroPoints, codes, back: back.w };
}

describe('the affine grid', () => {
  it('is the grid of the GPTQ reference code on a small example', () => {
    const asymmetric = quantize([[-1, 0, 0.5, 2]], { bits: 2, groupSize: 4, symmetric: false });
    expect([...asymmetric.scales.data]).toEqual([1]);
    expect([...asymmetric.zeroPoints.data]).toEqual([1]);
    expect([...asymmetric.codes.data]).toEqual([0, 1, 1, 3]);
    expect([...asymmetric.back.data]).toEqual([-1, 0, 0, 2]);
    const symmetric = quantize([[-1.5, 0, 0.5, 1]], { bits: 2, groupSize: 4, symmetric: true });
    expect([...symmetric.scales.data]).toEqual([1]);
    expect([...symmetric.zeroPoints.data]).toEqual([2]);
    expect([...symmetric.codes.data]).toEqual([0, 2, 2, 3]);
  });

  const grid = fc.record({ bits: fc.integer({ min: 2, max: 8 }), groupSize: fc.integer({ min: 1, max: 9 }), symmetric: fc.boolean() });
  const value = fc.float({ min: -1000, max: 1000, noNaN: true }).filter((x) => x === 0 || Math.abs(x) > 1e-20);
  const matrix = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 20 }))
    .chain(([count, columns]) =>
      fc.array(fc.array(value, { minLength: columns, maxLength: columns }), { minLength: count, maxLength: count }),
    );

  // Scale and quotient are f32: beside half a step there is their rounding, relative to the weight.
  it('rounds every weight to within half a step, ragged last groups too', () => {
    fc.assert(
      fc.property(matrix, grid, (rowsOfW, attributes) => {
        const { scales, codes, back } = quantize(rowsOfW, attributes);
        const groups = groupsPerRow(rowsOfW[0].length, attributes.groupSize);
        expect(scales.shape).toEqual([rowsOfW.length, groups]);
        rowsOfW.forEach((row, r) => {
          row.forEach((x, c) => {
            const at = r * row.length + c;
            const scale = scales.data[r * groups + Math.floor(c / attributes.groupSize)] as number;
            expect(Math.abs(x - (back.data[at] as number))).toBeLessThanOrEqual(0.5 * scale + 2 ** -21 * Math.abs(x));
            expect(codes.data[at]).toBeLessThan(2 ** attributes.bits);
          });
        });
      }),
      { numRuns: 300 },
    );
  });

  it('holds 0 exactly', () => {
    fc.assert(
      fc.property(matrix, grid, (rowsOfW, attributes) => {
        const zeroed = rowsOfW.map((row) => [...row.slice(1), 0]);
        const { back } = quantize(zeroed, attributes);
        zeroed.forEach((row, r) => {
          row.forEach((x, c) => {
            if (x === 0) expect(Math.abs(back.data[r * row.length + c] as number)).toBe(0);
          });
        });
      }),
    );
  });

  it('gives a group of zeros scale 1, and a constant group its value back', () => {
    for (const symmetric of [false, true]) {
      const zeros = quantize([[0, 0, 0, 0]], { bits: 4, groupSize: 2, symmetric });
      expect([...zeros.scales.data]).toEqual([1, 1]);
      expect([...zeros.zeroPoints.data]).toEqual(symmetric ? [8, 8] : [0, 0]);
      expect([...zeros.back.data].map((x) => Math.abs(x as number))).toEqual([0, 0, 0, 0]);
      for (const constant of [0.75, -0.75, 1e-30, -3e30]) {
        const { back, scales } = quantize([[constant, constant]], { bits: 4, groupSize: 2, symmetric });
        for (const x of back.data)
          expect(Math.abs((x as number) - constant)).toBeLessThanOrEqual(0.5 * (scales.data[0] as number) * 1.00001);
      }
      const { back } = quantize([[0.75, 0.75]], { bits: 4, groupSize: 2, symmetric: false });
      expect(back.data[0]).toBeCloseTo(0.75, 6);
    }
  });

  it('fits the last, shorter group by its own values alone', () => {
    const { scales } = quantize([[100, 100, 100, 1]], { bits: 8, groupSize: 3, symmetric: false });
    expect(scales.data[1]).toBe(Math.fround(1 / 255));
  });

  it('follows a group index that is not contiguous', () => {
    const range = { start: 0, end: 1 };
    const inputs = {
      w: tensor('f32', [1, 4], Float32Array.of(1, 10, 2, 20)),
      scales: tensor('f32', [1, 2], Float32Array.of(1, 10)),
      zeroPoints: tensor('u8', [1, 2], Uint8Array.of(0, 1)),
      groupIndex: tensor('i32', [4], Int32Array.of(0, 1, 0, 1)),
    };
    const { codes } = roundAffine.reference(inputs, { bits: 4, groupSize: 2 }, range);
    expect([...codes.data]).toEqual([1, 2, 2, 3]);
    const { w } = dequantizeAffine.reference({ ...inputs, codes }, { groupSize: 2 }, range);
    expect([...w.data]).toEqual([1, 10, 2, 20]);
  });

  it('refuses shapes and options that do not fit before anything runs', () => {
    const w = { dtype: 'f32' as const, shape: [2, 8] };
    expect(() => fitAffine.infer({ w }, { bits: 9, groupSize: 4, symmetric: true })).toThrow(/bits must be 1 to 8/);
    expect(() => fitAffine.infer({ w }, { bits: 4, groupSize: 0, symmetric: true })).toThrow(/group size positive/);
    expect(() => fitAffine.infer({ w: { dtype: 'f16', shape: [2, 8] } }, { bits: 4, groupSize: 4, symmetric: true })).toThrow(
      /must be f32/,
    );
    const [scales, zeroPoints] = [
      { dtype: 'f32' as const, shape: [2, 3] },
      { dtype: 'u8' as const, shape: [2, 3] },
    ];
    expect(() => roundAffine.infer({ w, scales, zeroPoints, groupIndex: undefined as never }, { bits: 4, groupSize: 4 })).toThrow(
      /scales must have shape \[2, 2\]/,
    );
  });

  it('rounds ties to even', () => {
    expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfEven)).toEqual([-2, -2, 0, 0, 2, 2, 2, 3]);
  });
});

describe('names of integer grids', () => {
  it('are read and written', () => {
    expect(parseAffineScheme('int4-g128-asym')).toEqual({
      kind: 'affine',
      bits: 4,
      granularity: 'group',
      groupSize: 128,
      symmetric: false,
    });
    expect(parseAffineScheme('INT8-channel')).toEqual({ kind: 'affine', bits: 8, granularity: 'channel', symmetric: true });
    expect(parseAffineScheme('int3-tensor-sym')).toEqual({ kind: 'affine', bits: 3, granularity: 'tensor', symmetric: true });
    for (const name of ['int2-g32-asym', 'int5-channel-sym', 'int8-tensor-asym']) {
      const scheme = parseAffineScheme(name);
      expect(scheme && affineSchemeName(scheme)).toBe(name);
    }
    expect(parseAffineScheme('Q4_K_M')).toBeUndefined();
    expect(() => parseAffineScheme('int9')).toThrow(/2 to 8 bits/);
    expect(() => parseAffineScheme('int4-g0')).toThrow(/must be positive/);
  });

  it('say how long a group is', () => {
    expect(schemeGroupSize({ kind: 'affine', bits: 4, granularity: 'group', groupSize: 32, symmetric: true }, 512)).toBe(32);
    expect(schemeGroupSize({ kind: 'affine', bits: 4, granularity: 'channel', symmetric: true }, 512)).toBe(512);
  });
});
