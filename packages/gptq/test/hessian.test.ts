import { createReferenceBackend, type Tensor, tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { correlatedHessian, normalWeight, quantizeLayer } from './quantize-layer.js';

const weight = normalWeight(8, 24, 1);

function changed(h: Tensor, change: (data: Float32Array, n: number) => void): Tensor {
  const data = Float32Array.from(h.data as Float32Array);
  change(data, h.shape[0]);
  return tensor('f32', h.shape, data);
}

describe('Hessians that are hard to use', () => {
  it('takes one of fewer tokens than channels without a warning', async () => {
    const { facts, warnings } = await quantizeLayer(weight, correlatedHessian(24, 3, 2), 'int4-g8-asym');
    expect(warnings).toEqual([]);
    expect(facts.dampPercent).toBe(0.01);
    expect(Number(facts.error)).toBeLessThan(Number(facts.rtnError));
  });

  it('raises the damping of an indefinite one and says so by the layer’s name', async () => {
    const indefinite = changed(correlatedHessian(24, 400, 3), (data, n) => {
      data.fill(0);
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) data[i * n + j] = i === j ? 1 : 0;
      data[0 * n + 1] = data[1 * n + 0] = 1.05;
    });
    const { facts, warnings } = await quantizeLayer(weight, indefinite, 'int4-g8-asym', { keepBetterRows: false });
    expect(facts.dampPercent).toBe(0.1);
    expect(facts.fallback).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/"layer.weight" from 0.01 to 0.1/)]);
  });

  it('damps by hand what has no damping at all', async () => {
    const singular = changed(correlatedHessian(24, 400, 3), (data) => data.fill(1));
    const { facts } = await quantizeLayer(weight, singular, 'int4-g8-asym', { dampPercent: 0 });
    expect(facts.dampPercent).toBe(0.01);
  });

  it('falls back to round-to-nearest with a warning when no damping helps', async () => {
    for (const bad of [Number.NaN, 1e30]) {
      const hessian = changed(correlatedHessian(24, 400, 4), (data, n) => {
        data[2 * n + 7] = bad;
      });
      const { facts, warnings } = await quantizeLayer(weight, hessian, 'int4-g8-asym');
      expect(facts).toEqual({ fallback: 'rtn' });
      expect(warnings).toEqual([expect.stringMatching(/"layer.weight" to nearest: its Hessian is not positive definite/)]);
    }
  });

  it('gives channels without any input the code of zero, and counts them', async () => {
    const hessian = changed(correlatedHessian(24, 400, 5), (data, n) => {
      for (const dead of [0, 13]) for (let i = 0; i < n; i++) data[dead * n + i] = data[i * n + dead] = 0;
    });
    const { tensor: result, facts } = await quantizeLayer(weight, hessian, 'int4-g8-asym', { keepBetterRows: false });
    expect(facts.deadChannels).toBe(2);
    for (let r = 0; r < 8; r++) {
      expect(result.codes[r * 24]).toBe(result.zeroPoints.data[r * 3]);
      expect(result.codes[r * 24 + 13]).toBe(result.zeroPoints.data[r * 3 + 1]);
    }
  });

  it('does not depend on the scale of the inputs', async () => {
    const hessian = correlatedHessian(24, 400, 6);
    const tiny = changed(hessian, (data) => data.set(data.map((value) => value * 2 ** -40)));
    const [a, b] = [await quantizeLayer(weight, hessian, 'int3-g8-sym'), await quantizeLayer(weight, tiny, 'int3-g8-sym')];
    expect(b.tensor).toEqual(a.tensor);
  });

  it('takes one that lives on a lane', async () => {
    const hessian = correlatedHessian(24, 400, 8);
    const backend = createReferenceBackend();
    const onLane = { ...backend, upload: (value: Tensor) => backend.upload(value, value === hessian ? { lane: 0 } : {}) };
    const { tensor: result } = await quantizeLayer(weight, hessian, 'int4-g8-asym', {}, onLane);
    expect(result).toEqual((await quantizeLayer(weight, hessian, 'int4-g8-asym')).tensor);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('refuses one of another size by the name of the layer', async () => {
    await expect(quantizeLayer(weight, correlatedHessian(8, 20, 7), 'int4-g8-asym')).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('The Hessian of "layer.weight" must be f32 [24, 24], found f32 [8, 8]'),
    });
  });
});
