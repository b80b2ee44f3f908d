import { createRng, erf } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { LaneMemory } from '../src/lane-memory.js';

const lane = new LaneMemory();

/** Runs `body` with an input of f32 values and room for as many results. */
function map(values: Float32Array, body: (x: number, y: number) => void): Float32Array {
  const x = lane.copyIn('f32', [values.length], values);
  const y = lane.create('f32', [values.length]);
  body(x.address, y.address);
  const result = lane.view(y).slice() as Float32Array;
  lane.release(x);
  lane.release(y);
  return result;
}

function spread(from: number, to: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1));
}

function worstRelative(have: Float32Array, want: (i: number) => number): number {
  return have.reduce((worst, value, i) => Math.max(worst, Math.abs(value - want(i)) / Math.max(1e-37, Math.abs(want(i)))), 0);
}

describe('SIMD kernels against f64 arithmetic', () => {
  it('exp, as softmax uses it, is within 2e-7 of each value', () => {
    // With the maximum 0 in front, softmax is exp(x) / sum.
    const values = spread(-80, 0, 4099).reverse();
    const total = values.reduce((sum, value) => sum + Math.exp(value), 0);
    const y = map(values, (x, out) => lane.wasm.softmax(1, x, out, values.length));
    expect(worstRelative(y, (i) => Math.exp(values[i]) / total)).toBeLessThan(2.5e-7);
  });

  it('softmax of a row with an infinite score below is finite, and NaN spreads over its row alone', () => {
    const y = map(Float32Array.of(-Infinity, 0, 0, -Infinity, 1, NaN, 3, 4), (x, out) => lane.wasm.softmax(2, x, out, 4));
    expect([...y.subarray(0, 4)]).toEqual([0, 0.5, 0.5, 0]);
    expect(y.subarray(4).every(Number.isNaN)).toBe(true);
  });

  for (const [kind, name, f] of [
    [0, 'silu', (x: number) => x / (1 + Math.exp(-x))],
    [1, 'gelu', (x: number) => 0.5 * x * (1 - erf(-x / Math.SQRT2))],
    [2, 'geluTanh', (x: number) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))],
  ] as const)
    it(`${name} is within 3e-6 of each value where it is not tiny`, () => {
      const values = spread(-4.5, 30, 5001);
      const y = map(values, (x, out) => lane.wasm.activate(1, x, 0, out, values.length, kind));
      expect(worstRelative(y, (i) => f(values[i]))).toBeLessThan(3e-6);
    });

  it('norms of large and small values neither overflow nor lose them', () => {
    const random = createRng(5);
    for (const size of [1e-18, 1, 1e18]) {
      const values = Float32Array.from({ length: 101 }, () => size * random.normal());
      const ones = lane.copyIn('f32', [101], new Float32Array(101).fill(1));
      const y = map(values, (x, out) => lane.wasm.rmsNorm(1, x, ones.address, out, 101, 101, 0, 0));
      const root = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / 101);
      expect(worstRelative(y, (i) => values[i] / root)).toBeLessThan(3e-7);
      lane.release(ones);
    }
  });
});
