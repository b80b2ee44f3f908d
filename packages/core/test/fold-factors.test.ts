import {
  affineTensor,
  affineValues,
  type BoundCalibrator,
  type BufferHandle,
  createReferenceBackend,
  createRng,
  fakeQuantizeAffine,
  fakeQuantizeWeight,
  fitScheme,
  foldFactors,
  groupMagnitudes,
  linear,
  parseAffineScheme,
  rmsNorm,
  roundToGrid,
  type ScalingSite,
  type SitePredecessor,
  scale,
  type Tensor,
  tensor,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const random = createRng(8);
const backend = createReferenceBackend();
const normal = (...shape: number[]) =>
  tensor(
    'f32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  );
const factors = (count: number) => Float32Array.from({ length: count }, () => Math.exp(random.normal()));
const upload = async (values: Record<string, Tensor>) =>
  new Map<string, BufferHandle>(
    await Promise.all(Object.entries(values).map(async ([name, value]) => [name, await backend.upload(value)] as const)),
  );
const values = async (handle: BufferHandle) => (await backend.download(handle)).data as Float32Array;

function siteOf(predecessor: Partial<SitePredecessor>, channels: number): ScalingSite {
  const rows = Int32Array.from({ length: channels }, (_, i) => i);
  return {
    name: 'before',
    point: 'x',
    channels,
    predecessor: { kind: 'norm', weight: 'before', offset: 0, rows, sharedBy: 1, ...predecessor },
    linears: [{ weight: 'after', point: 'x', shape: [3, channels] }],
  };
}

describe('folding factors', () => {
  it.each(['f32', 'bf16', 'f16'] as const)('into a norm by 1 + weight stored as %s leaves what the layers give', async (storedAs) => {
    const weights = await upload({ before: normal(12), after: normal(3, 12) });
    const x = await backend.upload(normal(5, 12));
    const run = async () => {
      const { y } = backend.run(rmsNorm, { x, weight: weights.get('before') }, { eps: 1e-5, offset: 1 });
      return values(backend.run(linear, { x: y, w: weights.get('after') }, {}).y);
    };
    const before = await run();
    const wanted = factors(12);
    const took = await foldFactors(backend, weights, siteOf({ offset: 1, storedAs }, 12), wanted);
    const after = await run();
    for (const [i, value] of after.entries()) expect(Math.abs(value - before[i])).toBeLessThan(1e-5);
    for (const [i, factor] of took.entries()) expect(Math.abs(factor / wanted[i] - 1)).toBeLessThan(storedAs === 'f32' ? 1e-5 : 0.5);
    if (storedAs === 'bf16')
      for (const value of await values(weights.get('before') as BufferHandle))
        expect(new Uint32Array(Float32Array.of(value).buffer)[0] & 0xffff).toBe(0);
  });

  it('into rows of a layer that several channels share, with its bias, leaves what the layers give', async () => {
    const rows = Int32Array.of(4, 5, 4, 5);
    const weights = await upload({ before: normal(8, 6), bias: normal(8), after: normal(3, 4) });
    const x = await backend.upload(normal(5, 6));
    const run = async () => {
      const made = await values(backend.run(linear, { x, w: weights.get('before'), bias: weights.get('bias') }, {}).y);
      const channels = tensor(
        'f32',
        [5, 4],
        Float32Array.from({ length: 20 }, (_, i) => made[Math.floor(i / 4) * 8 + rows[i % 4]]),
      );
      return values(backend.run(linear, { x: await backend.upload(channels), w: weights.get('after') }, {}).y);
    };
    const before = await run();
    const untouched = (await values(weights.get('before') as BufferHandle)).slice(0, 24);
    const site = siteOf({ kind: 'linear', bias: 'bias', rows, sharedBy: 2 }, 4);
    await foldFactors(backend, weights, site, Float32Array.of(3, 0.2, 3, 0.2));
    const after = await run();
    for (const [i, value] of after.entries()) expect(Math.abs(value - before[i])).toBeLessThan(1e-5);
    expect((await values(weights.get('before') as BufferHandle)).slice(0, 24)).toEqual(untouched);
  });

  it.each([
    ['zero', Float32Array.of(1, 0, 1, 1)],
    ['NaN', Float32Array.of(1, Number.NaN, 1, 1)],
    ['infinite', Float32Array.of(1, Infinity, 1, 1)],
    ['different for one row', Float32Array.of(1, 2, 1, 3)],
  ])('refuses factors that are %s', async (_, wrong) => {
    const weights = await upload({ before: normal(2), after: normal(3, 4) });
    const site = siteOf({ rows: Int32Array.of(0, 1, 0, 1) }, 4);
    await expect(foldFactors(backend, weights, site, wrong)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('a weight as it will be after rounding', () => {
  it('is on a grid per tensor what one row of all its values is on a grid per row', async () => {
    const w = normal(4, 6);
    const { y } = fakeQuantizeAffine.reference(
      { w: tensor('f32', [1, 24], w.data), factors: undefined as never },
      { bits: 4, groupSize: 24, symmetric: false },
      { start: 0, end: 1 },
    );
    const handle = await fakeQuantizeWeight(backend, await backend.upload(w), parseAffineScheme('int4-tensor-asym')!);
    expect(await values(handle)).toEqual(y.data);
  });

  it('is on the ranges of a calibrator what rounding to its grid makes of it, groups too', async () => {
    const w = await backend.upload(normal(4, 24));
    const scheme = parseAffineScheme('int3-g8-asym')!;
    const calibrator: BoundCalibrator = {
      name: 'half',
      range: () => ({ low: -1, high: 1 }),
      ranges(on, values, { groupSize }) {
        const { magnitudes: x } = on.run(groupMagnitudes, { w: values }, { groupSize });
        return { lows: on.run(scale, { x }, { scale: -0.5 }).y, highs: on.run(scale, { x }, { scale: 0.5 }).y };
      },
    };
    const grid = await fitScheme(backend, w, scheme, calibrator);
    const codes = roundToGrid(backend, w, grid, scheme);
    const [codesOf, scales, zeroPoints] = await Promise.all(
      [codes, grid.scales, grid.zeroPoints].map((handle) => backend.download(handle)),
    );
    const expected = affineValues(affineTensor(scheme, { codes: codesOf, scales, zeroPoints })).data;
    expect(await values(await fakeQuantizeWeight(backend, w, scheme, { calibrator }))).toEqual(expected);
    expect(await values(await fakeQuantizeWeight(backend, w, scheme))).not.toEqual(expected);
  });

  it('with factors is the rounded scaled weight divided by them, for floats too', async () => {
    const w = await backend.upload(normal(4, 6));
    const powers = Float32Array.of(2, 4, 0.5, 1, 8, 0.25);
    const plain = await values(await fakeQuantizeWeight(backend, w, { kind: 'float', dtype: 'bf16' }));
    expect(await values(await fakeQuantizeWeight(backend, w, { kind: 'float', dtype: 'bf16' }, { factors: powers }))).toEqual(plain);
  });
});
