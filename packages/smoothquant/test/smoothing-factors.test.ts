import { defaultAlpha, smoothingFactors } from '@calibrant/smoothquant';
import { describe, expect, it } from '@jest/globals';

describe('smoothing factors', () => {
  const x = Float32Array.of(2, 16, 1, 4);
  const w = Float32Array.of(4, 1, 2, 8);

  it('are max|X|^α / max|W|^(1−α)', () => {
    for (const [j, s] of smoothingFactors(x, w, 0.5).entries()) expect(s).toBeCloseTo(Math.sqrt(x[j] / w[j]), 6);
    expect([...smoothingFactors(x, w, 1)]).toEqual([...x]);
    expect([...smoothingFactors(x, w, 0)]).toEqual([...w].map((peak) => 1 / peak));
  });

  it('leave activations and weights equally large at α = 0.5', () => {
    for (const [j, s] of smoothingFactors(x, w, 0.5).entries()) expect(x[j] / s).toBeCloseTo(w[j] * s, 5);
  });

  it('are one for all channels of a row, by their maxima', () => {
    const shared = smoothingFactors(x, w, 1, Int32Array.of(0, 1, 0, 1));
    expect([...shared]).toEqual([2, 16, 2, 16]);
  });

  it('are finite and positive for channels without activations or weights', () => {
    const factors = smoothingFactors(Float32Array.of(0, 1e-30, 3e38), Float32Array.of(1, 0, 0), 0.7);
    expect(factors[0]).toBe(1);
    for (const s of factors) expect(s > 0 && Number.isFinite(s)).toBe(true);
  });
});

it('the migration strength is the published one where there is one', () => {
  expect(['opt', 'llama', 'mixtral', 'qwen3'].map(defaultAlpha)).toEqual([0.5, 0.85, 0.8, 0.5]);
});
