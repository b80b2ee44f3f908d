import {
  type AffineScheme,
  affineTensor,
  affineValues,
  checkAffineLayer,
  createReferenceBackend,
  createRng,
  dequantizeAffine,
  fitScheme,
  parseAffineScheme,
  roundToGrid,
  tensor,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const scheme = (name: string) => parseAffineScheme(name) as AffineScheme;
const rng = createRng(11);
const weights = tensor(
  'f32',
  [3, 8],
  Float32Array.from({ length: 24 }, () => rng.normal()),
);

describe('checkAffineLayer', () => {
  const check = async (value: typeof weights, name: string) => {
    const backend = createReferenceBackend();
    const weight = await backend.upload(value);
    const outcome = await checkAffineLayer(backend, { name: 'q_proj.weight', weight, scheme: scheme(name) }).then(
      () => 'fits',
      (error) => error,
    );
    expect(backend.allocatedBytes()).toBe(value.data.byteLength);
    return outcome;
  };

  it('lets a finite matrix pass that the group size divides', async () => {
    expect(await check(weights, 'int4-g4')).toBe('fits');
    expect(await check(weights, 'int4-channel')).toBe('fits');
    expect(await check(tensor('f32', [1, 4], new Float32Array(4).fill(3e38)), 'int4-channel')).toBe('fits');
  });

  it('names the group sizes that would divide', async () => {
    expect(await check(weights, 'int4-g3')).toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: 'The group size 3 does not divide the 8 inputs of "q_proj.weight". Sizes that do: 1, 2, 4, 8.',
    });
    expect(await check(tensor('f32', [8]), 'int4-channel')).toMatchObject({ code: 'SHAPE_MISMATCH' });
  });

  it('counts values that are not finite', async () => {
    const bad = tensor('f32', [2, 2], Float32Array.of(1, NaN, Infinity, -Infinity));
    expect(await check(bad, 'int4-channel')).toMatchObject({
      code: 'NON_FINITE',
      message: expect.stringMatching(/"q_proj.weight" holds 3 values .*first at element 1/),
      details: { tensor: 'q_proj.weight' },
    });
  });
});

describe('an affine tensor', () => {
  it.each(['int4-g4-asym', 'int3-channel-sym', 'int8-tensor-asym', 'int8-tensor-sym'])(
    '%s holds what the kernels compute',
    async (name) => {
      const backend = createReferenceBackend();
      const weight = await backend.upload(weights);
      const grid = await fitScheme(backend, weight, scheme(name));
      const codes = roundToGrid(backend, weight, grid, scheme(name));
      const groupSize = scheme(name).groupSize ?? 8;
      const { w } = backend.run(dequantizeAffine, { codes, ...grid }, { groupSize });
      const [c, s, z, expected] = await Promise.all([codes, grid.scales, grid.zeroPoints, w].map((handle) => backend.download(handle)));
      const quantized = affineTensor(scheme(name), { codes: c, scales: s, zeroPoints: z });
      expect(affineValues(quantized)).toEqual(expected);
      expect(quantized.scales.shape).toEqual(name.includes('tensor') ? [1, 1] : [3, name.includes('g4') ? 2 : 1]);
      const errors = (weights.data as Float32Array).map((value, i) => Math.abs(value - (expected.data[i] as number)));
      const worst = Math.max(...errors);
      expect(worst).toBeLessThanOrEqual(0.5001 * Math.max(...(s.data as Float32Array)));
    },
  );

  it('fits one grid to all rows per tensor', async () => {
    const backend = createReferenceBackend();
    const weight = await backend.upload(tensor('f32', [2, 2], Float32Array.of(1, 2, -3, 0)));
    const { scales, zeroPoints } = await fitScheme(backend, weight, scheme('int2-tensor-asym'));
    expect([...(await backend.download(scales)).data]).toEqual([Math.fround(5 / 3), Math.fround(5 / 3)]);
    expect([...(await backend.download(zeroPoints)).data]).toEqual([2, 2]);
  });

  it('follows a group index', () => {
    const codes = tensor('u8', [1, 4], Uint8Array.of(1, 2, 2, 3));
    const scales = tensor('f32', [1, 2], Float32Array.of(1, 10));
    const zeroPoints = tensor('u8', [1, 2], Uint8Array.of(0, 1));
    const quantized = affineTensor(scheme('int4-g2-asym'), { codes, scales, zeroPoints }, Int32Array.of(0, 1, 0, 1));
    expect([...affineValues(quantized).data]).toEqual([1, 10, 2, 20]);
  });
});
