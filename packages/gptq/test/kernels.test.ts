import { createRng, fitAffine, type Tensor, tensor } from '@calibrant/core';
import { arrange, diagonal, rowDot, type SolveAttributes, solveColumns } from '@calibrant/gptq';
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

  it('diagonal, arrangement and row products', () => {
    const h = correlatedHessian(13, 30, 4);
    const order = tensor('i32', [13], Int32Array.from(random.shuffle(Array.from({ length: 13 }, (_, i) => i))));
    const values = runWasm(diagonal, { h }, {}).diagonal;
    expect(values).toEqual(diagonal.reference({ h }, {}, { start: 0, end: 0 }).diagonal);
    for (const weight of [1, 2] as const)
      expect(runWasm(arrange, { h, values, order }, { weight })).toEqual(
        arrange.reference({ h, values, order }, { weight }, { start: 0, end: 0 }),
      );
    const [a, b] = [normalWeight(7, 29, 5), normalWeight(7, 29, 6)];
    expect(runWasm(rowDot, { a, b }, {})).toEqual(rowDot.reference({ a, b }, {}, { start: 0, end: 7 }));
  });
});

describe('arrangement', () => {
  it('reads the upper triangle alone and gives the same quadratic form by a plain product', () => {
    const h = correlatedHessian(6, 20, 8);
    const upper = tensor(
      'f32',
      [6, 6],
      Float32Array.from(h.data as Float32Array, (value, at) => (at % 6 < Math.floor(at / 6) ? Number.NaN : value)),
    );
    const order = tensor('i32', [6], Int32Array.of(3, 1, 5, 0, 2, 4));
    const values = diagonal.reference({ h: upper }, {}, { start: 0, end: 0 }).diagonal;
    const { y } = arrange.reference({ h: upper, values, order }, { weight: 2 }, { start: 0, end: 0 });
    const x = [1, -2, 3, 0.5, -1, 2];
    let [direct, arranged] = [0, 0];
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 6; j++) {
        direct += x[i] * x[j] * Number(h.data[i * 6 + j]);
        arranged += x[Number(order.data[i])] * x[Number(order.data[j])] * Number(y.data[i * 6 + j]);
      }
    expect(Math.abs(arranged / direct - 1)).toBeLessThan(1e-5);
  });
});
