import {
  activation,
  add,
  attention,
  createRng,
  erf,
  gather,
  layerNorm,
  rmsNorm,
  rope,
  scale,
  slice,
  softmax,
  type Tensor,
  tensor,
  transpose,
} from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const none = undefined as unknown as Tensor;
const f32 = (shape: number[], ...values: number[]) => tensor('f32', shape, Float32Array.from(values));
const all = (value: Tensor) => ({ start: 0, end: value.shape[0] });
const close = (found: Tensor, expected: number[], digits = 6) => {
  expect(found.data.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(found.data[i] as number).toBeCloseTo(value, digits);
  });
};

describe('the references of the layer operations', () => {
  it('normalize rows, or each head of a row', () => {
    const x = f32([1, 4], 3, 4, 6, 8);
    const weight = f32([4], 1, 1, 2, 0.5);
    const rms = Math.sqrt((9 + 16 + 36 + 64) / 4);
    close(rmsNorm.reference({ x, weight }, { eps: 0 }, all(x)).y, [3 / rms, 4 / rms, 12 / rms, 4 / rms]);
    close(
      rmsNorm.reference({ x, weight: f32([2], 1, 0) }, { eps: 0, offset: 1 }, all(x)).y,
      [6, 4, 12, 8].map((v, i) => v / Math.sqrt(i < 2 ? 12.5 : 50)),
    );
    const bias = f32([4], 0, 0, 0, 1);
    const deviation = Math.sqrt((2.25 ** 2 + 1.25 ** 2 + 0.75 ** 2 + 2.75 ** 2) / 4);
    close(
      layerNorm.reference({ x, weight, bias }, { eps: 0 }, all(x)).y,
      [-2.25, -1.25, 1.5, 1.375].map((v, i) => v / deviation + (i === 3 ? 1 : 0)),
    );
    expect(() => rmsNorm.infer({ x, weight: f32([3], 1, 1, 1) }, { eps: 0 })).toThrow(/weight/);
  });

  it('take the softmax without overflow', () => {
    const x = f32([2, 2], 1000, 1000 + Math.log(3), -1e30, 0);
    close(softmax.reference({ x }, {}, all(x)).y, [0.25, 0.75, 0, 1], 5);
  });

  it('know the error function and the activations', () => {
    // Abramowitz and Stegun, table 7.1
    for (const [x, value] of [
      [0, 0],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [3, 0.9999779095030014],
      [5, 0.9999999999984626],
    ])
      for (const sign of [1, -1]) expect(Math.abs(erf(sign * x) - sign * value)).toBeLessThan(1e-14);
    const x = f32([1, 3], -1, 0, 2);
    const run = (kind: 'silu' | 'gelu' | 'geluTanh' | 'relu', up = none) => activation.reference({ x, up }, { kind }, all(x)).y;
    close(run('silu'), [-1 / (1 + Math.E), 0, 2 / (1 + Math.exp(-2))]);
    close(run('gelu'), [-0.15865525393145707, 0, 1.9544997361036416]);
    close(run('geluTanh'), [-0.15880800939172324, 0, 1.954597694087775]);
    close(run('relu', f32([1, 3], 5, 6, 7)), [0, 0, 14]);
    expect(() => activation.infer({ x, up: none }, { kind: 'constructor' as 'silu' })).toThrow(/Unknown activation/);
  });

  it('add and scale', () => {
    const [a, b] = [f32([1, 2], 1, 2), f32([1, 2], 10, 20)];
    expect([...add.reference({ a, b }, { scale: 0.5 }, all(a)).y.data]).toEqual([6, 12]);
    expect([...scale.reference({ x: a }, { scale: -3 }, all(a)).y.data]).toEqual([-3, -6]);
  });

  it('gather, slice and transpose', () => {
    const table = f32([3, 2], 1, 2, 3, 4, 5, 6);
    const ids = tensor('i32', [2], Int32Array.of(2, 0));
    expect([...gather.reference({ table, ids }, {}, all(ids)).y.data]).toEqual([5, 6, 1, 2]);
    const outside = tensor('i32', [1], Int32Array.of(3));
    expect(() => gather.reference({ table, ids: outside }, {}, all(outside))).toThrow(/row 3 is outside a table of 3 rows/);
    const part = { rowStart: 1, rowEnd: 3, columnStart: 1, columnEnd: 2 };
    expect([...slice.reference({ x: table }, part, all(table)).y.data]).toEqual([4, 6]);
    expect(() => slice.infer({ x: table }, { ...part, rowEnd: 4 })).toThrow(/outside \[3, 2\]/);
    expect([...transpose.reference({ x: table }, {}, all(table)).y.data]).toEqual([1, 3, 5, 2, 4, 6]);
  });

  it('turn pairs by the angle of their position, in both orders of the pairs', () => {
    const angle = 0.7;
    const [cos, sin] = [f32([2, 1], 1, Math.cos(angle)), f32([2, 1], 0, Math.sin(angle))];
    const x = f32([2, 4], 1, 0, 9, 9, 1, 2, 3, 4);
    const positions = tensor('i32', [2], Int32Array.of(0, 1));
    const run = (style: 'half' | 'interleaved', headDim: number) =>
      rope.reference({ x, positions, cos, sin }, { style, headDim }, all(x)).y;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    // One pair per head of 2; then one pair of a head of 4, whose other dimensions pass.
    close(run('half', 2), [1, 0, 9, 9, c - 2 * s, 2 * c + s, 3 * c - 4 * s, 4 * c + 3 * s]);
    close(run('half', 4), [1, 0, 9, 9, c - 2 * s, 2 * c + s, 3, 4]);
    close(run('interleaved', 4), [1, 0, 9, 9, c - 2 * s, 2 * c + s, 3, 4]);
    const wide = (values: [number, number]) => f32([2, 2], values[0], values[0], values[1], values[1]);
    const both = { x, positions, cos: wide([1, c]), sin: wide([0, s]) };
    close(rope.reference(both, { style: 'half', headDim: 4 }, all(x)).y, [1, 0, 9, 9, c - 3 * s, 2 * c - 4 * s, 3 * c + s, 4 * c + 2 * s]);
    close(rope.reference(both, { style: 'interleaved', headDim: 4 }, all(x)).y, [
      1,
      0,
      9,
      9,
      c - 2 * s,
      2 * c + s,
      3 * c - 4 * s,
      4 * c + 3 * s,
    ]);
  });

  it('attend causally, with shared keys, a window, a cap and slopes', () => {
    const rng = createRng(9);
    const [tokens, heads, kvHeads, headDim] = [6, 4, 2, 3];
    const make = (width: number) =>
      tensor(
        'f32',
        [tokens, width],
        Float32Array.from({ length: tokens * width }, () => rng.normal()),
      );
    const [q, k, v] = [make(heads * headDim), make(kvHeads * headDim), make(kvHeads * headDim)];
    const slopes = f32([4], 0.5, 0.25, 0.125, 1);
    for (const options of [{}, { window: 2 }, { softcap: 1.5 }, { window: 3, softcap: 2 }])
      for (const slope of [none, slopes]) {
        const attributes = { heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim), ...options };
        const { y } = attention.reference({ q, k, v, slopes: slope }, attributes, all(q));
        const row = (of: Tensor, t: number, head: number) =>
          [...(of.data as Float32Array)].slice(t * of.shape[1] + head * headDim).slice(0, headDim);
        for (let head = 0; head < heads; head++)
          for (let t = 0; t < tokens; t++) {
            const shared = head < 2 ? 0 : 1;
            const seen = Array.from({ length: tokens }, (_, s) => s).filter((s) => s <= t && s > t - (attributes.window ?? Infinity));
            const weights = seen.map((s) => {
              const dot = row(q, t, head).reduce((sum, value, i) => sum + value * row(k, s, shared)[i], 0) * attributes.scale;
              const capped = attributes.softcap ? attributes.softcap * Math.tanh(dot / attributes.softcap) : dot;
              return Math.exp(capped - (slope ? (slopes.data[head] as number) * (t - s) : 0));
            });
            const total = weights.reduce((sum, weight) => sum + weight, 0);
            for (let i = 0; i < headDim; i++) {
              const expected = seen.reduce((sum, s, n) => sum + (weights[n] / total) * row(v, s, shared)[i], 0);
              expect(row(y, t, head)[i]).toBeCloseTo(expected, 5);
            }
          }
      }
  });
});
