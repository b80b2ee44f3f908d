import { createRng, fitAffine, type Tensor, tensor } from '@calibrant/core';
import { arrange, diagonal, quadraticForm, type SolveAttributes, solveColumns } from '@calibrant/gptq';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { correlatedHessian, normalWeight } from './quantize-layer.js';

const random = createRng(3);

function factor(n: number): Tensor {
  const u = tensor('f32', [n, n]);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) u.data[i * n + j] = i === j ? 0.5 + random.uniform() : random.normal() * 0.1;
  return u;
}

function solveCase(rows: number, n: number, groupSize: number, bits: number, symmetric: boolean, blockSize: number, fixed: boolean) {
  const w = normalWeight(rows, n, rows + n);
  const order = tensor('i32', [n], Int32Array.from(random.shuffle(Array.from({ length: n }, (_, i) => i))));
  const dead = tensor(
    'u8',
    [n],
    Uint8Array.from({ length: n }, () => (random.uniform() < 0.05 ? 1 : 0)),
  );
  const groups = tensor('i32', [n]);
  for (let i = 0; i < n; i++) groups.data[i] = Math.floor((fixed ? Number(order.data[i]) : i) / groupSize);
  const attributes: SolveAttributes = { bits, groupSize, groupCount: n / groupSize, symmetric, blockSize };
  const grid = fixed ? fitAffine.reference({ w }, attributes, { start: 0, end: rows }) : undefined;
  const inputs = { w, u: factor(n), order, dead, groups, fixedScales: grid?.scales as Tensor, fixedZeroPoints: grid?.zeroPoints as Tensor };
  return { inputs, attributes, range: { start: 0, end: rows } };
}

describe('the WebAssembly variants equal the references bit for bit', () => {
  it.each([
    [5, 32, 8, 4, false, 16, false],
    [17, 40, 40, 3, true, 7, false],
    [37, 136, 4, 2, false, 128, false],
    [50, 130, 65, 8, true, 100, false],
    [33, 257, 257, 4, false, 128, false],
    [20, 300, 100, 3, false, 64, false],
    [1, 24, 12, 4, false, 5, true],
    [40, 200, 50, 4, true, 64, true],
  ])('column loop: %d × %d, groups of %d, %d bits, symmetric %s, blocks of %d, fixed grid %s', (...sizes) => {
    const { inputs, attributes, range } = solveCase(...(sizes as Parameters<typeof solveCase>));
    expect(runWasm(solveColumns, inputs, attributes)).toEqual(solveColumns.reference(inputs, attributes, range));
  });

  it('column loop: the block size changes nothing', () => {
    const { inputs, attributes } = solveCase(19, 96, 24, 4, false, 128, false);
    const [one, ...others] = [128, 1, 24, 31].map((blockSize) => runWasm(solveColumns, inputs, { ...attributes, blockSize }));
    for (const other of others) expect(other).toEqual(one);
  });

  it('diagonal and arrangement', () => {
    const h = correlatedHessian(13, 30, 4);
    const order = tensor('i32', [13], Int32Array.from(random.shuffle(Array.from({ length: 13 }, (_, i) => i))));
    const values = runWasm(diagonal, { h }, {}).diagonal;
    expect(values).toEqual(diagonal.reference({ h }, {}, { start: 0, end: 0 }).diagonal);
    expect(runWasm(arrange, { h, values, order }, {})).toEqual(arrange.reference({ h, values, order }, {}, { start: 0, end: 0 }));
  });

  it.each([
    [1, 1],
    [7, 29],
    [66, 264],
    [5, 259],
    [3, 520],
    [260, 24],
  ])('quadratic form: %d rows of %d', (rows, n) => {
    const [x, h] = [normalWeight(rows, n, 5), normalWeight(n, n, 6)];
    expect(runWasm(quadraticForm, { x, h }, {})).toEqual(quadraticForm.reference({ x, h }, {}, { start: 0, end: rows }));
  });
});

/** With NaN below the diagonal. */
function upperTriangle(h: Tensor): Tensor {
  const n = h.shape[0];
  return tensor(
    'f32',
    h.shape,
    Float32Array.from(h.data as Float32Array, (value, at) => (at % n < Math.floor(at / n) ? Number.NaN : value)),
  );
}

describe('only the upper triangle is read', () => {
  it('by the arrangement, which permutes rows and columns alike', () => {
    const h = correlatedHessian(6, 20, 8);
    const order = tensor('i32', [6], Int32Array.of(3, 1, 5, 0, 2, 4));
    const values = tensor('f32', [6], Float32Array.of(10, 11, 12, 13, 14, 15));
    const y = arrange.reference({ h: upperTriangle(h), values, order }, {}, { start: 0, end: 0 }).y.data;
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 6; j++) {
        const expected = i === j ? values.data[Number(order.data[i])] : h.data[Number(order.data[i]) * 6 + Number(order.data[j])];
        expect(y[i * 6 + j]).toBe(i <= j ? expected : 0);
      }
  });

  it('by the quadratic form, which equals a plain f64 sum', () => {
    const h = correlatedHessian(40, 60, 9);
    const x = normalWeight(3, 40, 10);
    const { values } = quadraticForm.reference({ x, h: upperTriangle(h) }, {}, { start: 0, end: 3 });
    for (let r = 0; r < 3; r++) {
      let sum = 0;
      for (let i = 0; i < 40; i++)
        for (let j = 0; j < 40; j++) sum += Number(x.data[r * 40 + i]) * Number(x.data[r * 40 + j]) * Number(h.data[i * 40 + j]);
      expect(Math.abs(Number(values.data[r]) / sum - 1)).toBeLessThan(1e-5);
    }
  });
});
