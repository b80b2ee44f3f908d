import { createRng, gram, inverseCholesky, linear, matmul, type Tensor, tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const none = undefined as unknown as Tensor;
const random = (shape: [number, number], seed: number) => {
  const rng = createRng(seed);
  return tensor(
    'f32',
    shape,
    Float32Array.from({ length: shape[0] * shape[1] }, () => rng.normal()),
  );
};
const whole = (value: Tensor) => ({ start: 0, end: value.shape[0] });
const gramOf = (x: Tensor, scale: number) => {
  const h = tensor('f32', [x.shape[1], x.shape[1]]);
  return gram.reference({ h, x }, { scale }, whole(h)).h;
};

describe('matmul', () => {
  const a = tensor('f32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  const b = tensor('f32', [3, 2], Float32Array.of(7, 8, 9, 10, 11, 12));
  const aT = tensor('f32', [3, 2], Float32Array.of(1, 4, 2, 5, 3, 6));
  const bT = tensor('f32', [2, 3], Float32Array.of(7, 9, 11, 8, 10, 12));
  const run = (a: Tensor, b: Tensor, attributes: object, c = none) => [...matmul.reference({ a, b, c }, attributes, whole(a)).y.data];

  it('gives the textbook product however its operands are transposed', () => {
    const expected = [58, 64, 139, 154];
    expect(run(a, b, {})).toEqual(expected);
    expect(run(aT, b, { transposeA: true })).toEqual(expected);
    expect(run(a, bT, { transposeB: true })).toEqual(expected);
    expect(run(aT, bT, { transposeA: true, transposeB: true })).toEqual(expected);
  });

  it('adds beta · c, a row or a matrix, to alpha times the product', () => {
    expect(run(a, b, { alpha: 2, beta: 10 }, tensor('f32', [2], Float32Array.of(1, 2)))).toEqual([126, 148, 288, 328]);
    expect(run(a, b, {}, tensor('f32', [2, 2], Float32Array.of(1, 2, 3, 4)))).toEqual([59, 66, 142, 158]);
  });

  it('is a linear layer with weights [out, in] and a bias', () => {
    const bias = tensor('f32', [2], Float32Array.of(1, -1));
    expect([...linear.reference({ x: a, w: bT, bias }, {}, whole(a)).y.data]).toEqual([59, 63, 140, 153]);
  });

  it('refuses shapes and types that do not fit', () => {
    expect(() => matmul.infer({ a, b: bT, c: none }, {})).toThrow(/b must have shape \[3, \?\], found f32 \[2, 3\]/);
    expect(() => matmul.infer({ a, b, c: tensor('f32', [3]) }, {})).toThrow(/c must have shape \[2\]/);
    expect(() => matmul.infer({ a: tensor('f16', [2, 3]), b, c: none }, {})).toThrow(/a must be f32 or f64/);
  });
});

describe('gram', () => {
  it('adds scale · xᵀx to the upper triangle of h, by any range of rows', () => {
    const x = tensor('f32', [2, 2], Float32Array.of(1, 2, 3, 4));
    const h = tensor('f32', [2, 2], Float32Array.of(100, 200, -1, 300));
    const all = gram.reference({ h, x }, { scale: 0.5 }, { start: 0, end: 2 }).h;
    expect([all.data[0], all.data[1], all.data[3]]).toEqual([105, 207, 310]);
    const second = gram.reference({ h: tensor('f32', [1, 2], Float32Array.of(-1, 300)), x }, { scale: 0.5 }, { start: 1, end: 2 }).h;
    expect(second.data[1]).toBe(310);
    expect([...h.data]).toEqual([100, 200, -1, 300]);
  });

  it('equals the product xᵀ · x', () => {
    const x = random([17, 6], 1);
    const product = matmul.reference({ a: x, b: x, c: none }, { transposeA: true }, whole(x)).y;
    const h = gramOf(x, 1);
    for (let i = 0; i < 6; i++) for (let j = i; j < 6; j++) expect(h.data[i * 6 + j]).toBeCloseTo(product.data[i * 6 + j] as number, 5);
  });
});

describe('inverseCholesky', () => {
  it('gives an upper triangular u with uᵀu · (h + damp·I) = I', () => {
    for (const [n, damp] of [
      [1, 0],
      [2, 0.5],
      [7, 0],
      [24, 0.01],
    ]) {
      const h = gramOf(random([n * 3, n], n), 2 / n);
      const { u, info } = inverseCholesky.reference({ h }, { damp }, whole(h));
      expect(info.data[0]).toBe(0);
      const at = (i: number, j: number) => (u.data as Float32Array)[i * n + j];
      const full = (i: number, j: number) => (h.data as Float32Array)[Math.min(i, j) * n + Math.max(i, j)] + (i === j ? damp : 0);
      for (let i = 0; i < n; i++) {
        expect(at(i, i)).toBeGreaterThan(0);
        for (let j = 0; j < i; j++) expect(at(i, j)).toBe(0);
        for (let j = 0; j < n; j++) {
          let product = 0;
          for (let k = 0; k < n; k++) {
            let inverse = 0;
            for (let m = 0; m < n; m++) inverse += at(m, i) * at(m, k);
            product += inverse * full(k, j);
          }
          expect(Math.abs(product - (i === j ? 1 : 0))).toBeLessThan(1e-4);
        }
      }
    }
  });

  it('has the closed form of a 2 × 2 matrix, and reads the upper triangle alone', () => {
    const h = tensor('f32', [2, 2], Float32Array.of(4, 2, NaN, 5));
    const { u } = inverseCholesky.reference({ h }, { damp: 0 }, whole(h));
    // h⁻¹ = [[5, −2], [−2, 4]] / 16
    const expected = [Math.sqrt(5 / 16), -2 / 16 / Math.sqrt(5 / 16), 0, Math.sqrt(4 / 16 - 4 / 256 / (5 / 16))];
    [...u.data].forEach((value, i) => {
      expect(value as number).toBeCloseTo(expected[i], 6);
    });
  });

  it('tells where a matrix is not positive definite or not finite', () => {
    const infoOf = (values: number[], damp = 0) => {
      const n = Math.sqrt(values.length);
      const h = tensor('f32', [n, n], Float32Array.from(values));
      return inverseCholesky.reference({ h }, { damp }, whole(h)).info.data[0];
    };
    expect(infoOf([1, 2, 2, 1])).toBe(1);
    expect(infoOf([1, 0, 0, -1])).toBe(2);
    expect(infoOf([1, 0, 0, -1], 2)).toBe(0);
    expect(infoOf([NaN, 0, 0, 1])).toBe(1);
    expect(infoOf([1, 0, 0, Infinity])).toBe(2);
    expect(infoOf([0])).toBe(1);
  });
});
