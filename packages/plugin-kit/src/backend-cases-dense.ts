import { attention, gram, inverseCholesky, linear, matmul, type Tensor, tensor } from '@calibrant/core';
import { type BackendCase, backendCase, normal } from './backend-case.js';

const GEMM = 2e-6;

/** `xᵀx / n`, a symmetric positive definite matrix for `tokens > n`. */
function covariance(tokens: number, n: number, seed: number): Tensor {
  const x = normal([tokens, n], seed);
  return gram.reference({ h: tensor('f32', [n, n]), x }, { scale: 1 / tokens }, { start: 0, end: n }).h;
}

function asF64(value: Tensor): Tensor {
  return tensor('f64', value.shape, Float64Array.from(value.data as Float32Array));
}

function indefinite(n: number, bad: number): Tensor {
  const h = covariance(3 * n, n, 61);
  h.data[bad * n + bad] = -1;
  return h;
}

/** Matrix products, Gram matrices, Cholesky, attention. */
export function denseCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  for (const [m, k, n] of [
    [1, 1, 1],
    [1, 33, 17],
    [5, 7, 3],
    [37, 65, 41],
  ])
    for (const transposeA of [false, true])
      for (const transposeB of [false, true]) {
        const a = normal(transposeA ? [k, m] : [m, k], 1);
        const b = normal(transposeB ? [n, k] : [k, n], 2);
        const what = `${m}×${k}×${n}${transposeA ? ', a transposed' : ''}${transposeB ? ', b transposed' : ''}`;
        cases.push(backendCase(matmul, what, { a, b }, { transposeA, transposeB }, GEMM));
      }
  const [a, b] = [normal([19, 23], 3), normal([23, 29], 4)];
  cases.push(
    backendCase(matmul, 'alpha', { a, b }, { alpha: -0.5 }, GEMM),
    backendCase(matmul, 'c of one row', { a, b, c: normal([29], 5) }, {}, GEMM),
    backendCase(matmul, 'c of all rows with beta', { a, b, c: normal([19, 29], 5) }, { alpha: 2, beta: -3 }, GEMM),
    backendCase(matmul, 'c of one row with beta and alpha', { a, b, c: normal([29], 5) }, { alpha: 0.25, beta: 0.5 }, GEMM),
    backendCase(matmul, 'no rows', { a: normal([0, 23], 3), b }, {}, GEMM),
    backendCase(matmul, 'an inner size of 0 leaves c', { a: normal([3, 0], 3), b: normal([0, 4], 4), c: normal([3, 4], 5) }, {}, GEMM),
    backendCase(matmul, 'f64', { a: asF64(a), b: asF64(b), c: asF64(normal([19, 29], 5)) }, { alpha: -1 }, 1e-14),
    backendCase(linear, 'one token', { x: normal([1, 40], 6), w: normal([24, 40], 7) }, {}, GEMM),
    backendCase(linear, 'with bias', { x: normal([13, 40], 6), w: normal([24, 40], 7), bias: normal([24], 8) }, {}, GEMM),
    backendCase(linear, 'rows over several chunks', { x: normal([1100, 12], 6), w: normal([10, 12], 7) }, {}, GEMM),
    gramCase('odd sizes', 21, 13),
    gramCase('one token', 1, 9),
    gramCase('several chunks of rows', 24, 300),
  );
  for (const n of [1, 2, 7, 40, 150, 300]) {
    const h = covariance(2 * n + 3, n, 60);
    cases.push(backendCase(inverseCholesky, `n = ${n}`, { h }, { damp: 0.01 }, 1e-5));
  }
  for (const [n, bad] of [
    [12, 5],
    [200, 170],
    [200, 3],
  ])
    cases.push(
      backendCase(
        inverseCholesky,
        `n = ${n}, not positive definite at ${bad}`,
        { h: indefinite(n, bad) },
        { damp: 0 },
        'exact',
        () => false,
      ),
    );
  cases.push(...attentionCases());
  return cases;
}

function gramCase(what: string, tokens: number, n: number): BackendCase {
  return backendCase(
    gram,
    what,
    { h: normal([n, n], 9), x: normal([tokens, n], 10) },
    { scale: 0.37 },
    GEMM,
    (row, column) => column >= row,
  );
}

function attentionCases(): BackendCase[] {
  const cases: BackendCase[] = [];
  const shapes: [string, number, number, number, number][] = [
    ['one token', 1, 2, 2, 8],
    ['odd sizes', 13, 3, 3, 12],
    ['grouped heads', 21, 6, 2, 16],
    ['one key head', 9, 4, 1, 10],
    ['several blocks of queries', 300, 2, 1, 8],
  ];
  for (const [what, tokens, heads, kvHeads, headDim] of shapes) {
    const inputs = {
      q: normal([tokens, heads * headDim], 20),
      k: normal([tokens, kvHeads * headDim], 21),
      v: normal([tokens, kvHeads * headDim], 22),
    };
    const attributes = { heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim) };
    const slopes = tensor(
      'f32',
      [heads],
      Float32Array.from({ length: heads }, (_, i) => 2 ** -(i + 1)),
    );
    cases.push(
      backendCase(attention, what, inputs, attributes, 3e-6),
      backendCase(attention, `${what}, window`, inputs, { ...attributes, window: 5 }, 3e-6),
      backendCase(attention, `${what}, softcap`, inputs, { ...attributes, softcap: 2.5 }, 3e-6),
      backendCase(attention, `${what}, slopes`, { ...inputs, slopes }, attributes, 3e-6),
    );
  }
  const all = normal([40, 16], 23, 30);
  const extreme = { heads: 2, kvHeads: 2, headDim: 8, scale: 1, window: 7, softcap: 50 };
  cases.push(backendCase(attention, 'large scores, window and softcap', { q: all, k: all, v: normal([40, 16], 24) }, extreme, 2e-5));
  return cases;
}
