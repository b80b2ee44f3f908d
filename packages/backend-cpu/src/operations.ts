import { type MatmulAttributes, matmulSizes } from '@calibrant/core';
import { LAYOUT_OPERATIONS, type LaneBuffer, type LaneMemory, type NativeOperations } from '@calibrant/kernels';
import { attentionOperation } from './attention.js';
import { type Gemm, matrixOf } from './gemm.js';
import { gramOperation } from './gram.js';
import { inverseCholeskyOperation } from './inverse-cholesky.js';

/** What the CPU backend's lanes compute natively, with matrix products on the given engine. */
export function cpuOperations(gemm: Gemm): NativeOperations {
  return {
    ...LAYOUT_OPERATIONS,
    'core.matmul': ({ lane, inputs: { a, b, c }, outputs: { y }, attributes }) => product(gemm, lane, a!, b!, c, y, attributes),
    'core.linear': ({ lane, inputs: { x, w, bias }, outputs: { y } }) => product(gemm, lane, x!, w!, bias, y, { transposeB: true }),
    'core.gram': gramOperation(gemm),
    'core.attention': attentionOperation(gemm),
    'core.inverseCholesky': inverseCholeskyOperation(gemm),
  };
}

/** The kernels in {@link cpuOperations}, known without a lane. */
export const NATIVE_KERNELS: ReadonlySet<string> = new Set(Object.keys(cpuOperations(() => {})));

function product(
  gemm: Gemm,
  lane: LaneMemory,
  a: LaneBuffer,
  b: LaneBuffer,
  c: LaneBuffer | undefined,
  y: LaneBuffer,
  attributes: MatmulAttributes,
): void | Promise<void> {
  const { m, k, n } = matmulSizes(a, b, attributes);
  const { transposeA = false, transposeB = false, alpha = 1, beta = 1 } = attributes;
  if (m === 0 || n === 0) return;
  if (k === 0) {
    const values = lane.view(y) as Float32Array;
    const added = c && (lane.view(c) as Float32Array);
    for (let i = 0; i < values.length; i++) values[i] = added ? beta * added[i % added.length] : 0;
    return;
  }
  return gemm(lane, {
    dtype: y.dtype as 'f32' | 'f64',
    transposeA,
    transposeB,
    alpha,
    beta: c ? beta : 1,
    hasC: c !== undefined,
    a: matrixOf(a),
    b: matrixOf(b),
    c: c && matrixOf(c),
    y: matrixOf(y),
  });
}
