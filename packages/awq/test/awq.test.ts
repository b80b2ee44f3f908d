import { awq, clampRows, clipRows, groupGrams, relativeMagnitudes, scalingFactors, searchClip } from '@calibrant/awq';
import { createReferenceBackend, createRng, type Tensor, tensor } from '@calibrant/core';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { plainClip } from './plain-awq.js';

const random = createRng(4);
const normal = (...shape: number[]): Tensor =>
  tensor(
    'f32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
  );
const all = { start: 0, end: 0 };

describe('the WebAssembly variants equal the references bit for bit', () => {
  it.each([
    [1, 4, 4],
    [7, 24, 8],
    [20, 39, 13],
  ])('%d tokens or rows, %d channels in groups of %d', (count, n, groupSize) => {
    const x = normal(count, n);
    (x.data as Float32Array).fill(0, 0, Math.min(groupSize, n));
    const grams = groupGrams.reference({ x }, { groupSize }, all);
    expect(runWasm(groupGrams, { x }, { groupSize })).toEqual(grams);
    expect(runWasm(relativeMagnitudes, { w: x }, { groupSize })).toEqual(relativeMagnitudes.reference({ w: x }, { groupSize }, all));
    for (const symmetric of [true, false]) {
      const attributes = { bits: 3, groupSize, symmetric, steps: 10 };
      const inputs = { w: normal(5, n), h: grams.h };
      expect(runWasm(searchClip, inputs, attributes)).toEqual(searchClip.reference(inputs, attributes, { start: 0, end: 5 }));
    }
    const clamping = {
      w: x,
      bounds: tensor(
        'f32',
        [count, 1],
        Float32Array.from({ length: count }, (_, r) => r / 10),
      ),
    };
    expect(runWasm(clampRows, clamping, {})).toEqual(clampRows.reference(clamping, {}, { start: 0, end: count }));
  });
});

describe('the clip search', () => {
  it.each([
    [3, false],
    [4, true],
    [2, false],
  ])('at %d bits, symmetric %s, is as good as trying every range on every token', (bits, symmetric) => {
    const [w, x] = [normal(6, 32), normal(50, 32)];
    const { h } = groupGrams.reference({ x }, { groupSize: 16 }, all);
    const found = searchClip.reference({ w, h }, { bits, groupSize: 16, symmetric, steps: 10 }, { start: 0, end: 6 });
    const expected = plainClip(w, x, { bits, groupSize: 16, symmetric, steps: 10 });
    for (let r = 0; r < 6; r++) {
      expect(Number(found.errors.data[2 * r]) / expected.errors[r].plain).toBeCloseTo(1, 4);
      expect(Number(found.errors.data[2 * r + 1]) / expected.errors[r].best).toBeCloseTo(1, 4);
    }
    expect(found.clipped.data).toEqual(expected.clipped);
  });

  it.each([
    [3, false],
    [4, true],
  ])('of whole rows at %d bits, symmetric %s, too, by matrix products', async (bits, symmetric) => {
    const [w, x] = [normal(6, 32), normal(50, 32)];
    const expected = plainClip(w, x, { bits, groupSize: 32, symmetric, steps: 10 });
    const backend = createReferenceBackend();
    const handles = [await backend.upload(w), await backend.upload(x)] as const;
    const { clipped, errors } = await clipRows(backend, ...handles, { bits, symmetric, steps: 10 });
    for (let r = 0; r < 6; r++) {
      expect(errors[2 * r] / expected.errors[r].plain).toBeCloseTo(1, 3);
      expect(errors[2 * r + 1] / expected.errors[r].best).toBeCloseTo(1, 3);
    }
    expect((await backend.download(clipped)).data).toEqual(expected.clipped);
    backend.free(clipped, ...handles);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('leaves groups of zeros and channels without inputs as they are', () => {
    const w = normal(2, 8);
    (w.data as Float32Array).fill(0, 0, 4);
    const { clipped, errors } = searchClip.reference(
      { w, h: tensor('f32', [8, 4]) },
      { bits: 4, groupSize: 4, symmetric: false, steps: 10 },
      { start: 0, end: 2 },
    );
    expect(clipped.data).toEqual(w.data);
    expect([...errors.data]).toEqual([0, 0, 0, 0]);
  });
});

describe('scaling factors', () => {
  const a = Float64Array.of(1, 4, 0.25, 2);
  const m = Float64Array.of(0.5, 0.25, 1, 0.5);

  it('are a^r, centred', () => {
    expect([...scalingFactors(a, undefined, 1)]).toEqual([1, 4, 0.25, 2]);
    for (const s of scalingFactors(a, undefined, 0)) expect(s).toBe(1);
  });

  it('are a^r / (m^(1−r) + 1e-4) with duo scaling, centred', () => {
    const raw = [...a].map((value, j) => value ** 0.3 / (m[j] ** 0.7 + 1e-4));
    const centre = Math.sqrt(Math.max(...raw) * Math.min(...raw));
    for (const [j, s] of scalingFactors(a, m, 0.3).entries()) expect(s).toBeCloseTo(raw[j] / centre, 5);
  });

  it('are 1 for channels without activations, which do not move the others', () => {
    const dead = scalingFactors(Float64Array.of(1, 0, 4, 0.25), undefined, 1);
    expect([...dead]).toEqual([1, 1, 4, 0.25]);
    expect([...scalingFactors(new Float64Array(3), new Float64Array(3), 0.5)]).toEqual([1, 1, 1]);
  });

  it('are one for the channels of a row, and finite for weights of zero', () => {
    const shared = scalingFactors(a, new Float64Array(4), 0.5, Int32Array.of(0, 1, 0, 1));
    expect([shared[2], shared[3]]).toEqual([shared[0], shared[1]]);
    for (const s of shared) expect(s > 0 && Number.isFinite(s)).toBe(true);
  });
});

it('unknown options are refused with the nearest known one', () => {
  expect(() => awq({ ratois: 3 } as never)).toThrow(/ratois.*Did you mean "ratios"/);
});
