import { type MatmulAttributes, matmulSizes } from '@calibrant/core';
import type { LaneBuffer, NativeCall, NativeOperations } from '@calibrant/kernels';
import type { Gemm, Matrix } from './gemm.js';

/** The operations that run as matrix products, on a given engine. */
export function denseOperations(gemm: Gemm): NativeOperations {
  return {
    'core.matmul': ({ lane, inputs: { a, b, c }, outputs: { y }, attributes }) => product(gemm, lane, a!, b!, c, y, attributes),
    'core.linear': ({ lane, inputs: { x, w, bias }, outputs: { y } }) => product(gemm, lane, x!, w!, bias, y, { transposeB: true }),
  };
}

function product(
  gemm: Gemm,
  lane: NativeCall['lane'],
  a: LaneBuffer,
  b: LaneBuffer,
  c: LaneBuffer | undefined,
  y: LaneBuffer,
  attributes: MatmulAttributes,
): void | Promise<void> {
  const { m, k, n } = matmulSizes(a, b, attributes);
  const { transposeA = false, transposeB = false, alpha = 1, beta = 1 } = attributes;
  if (m === 0 || n === 0) return;
  const matrix = (buffer: LaneBuffer): Matrix => ({
    rows: buffer.shape.length === 1 ? 1 : buffer.shape[0],
    columns: buffer.shape.at(-1)!,
    data: lane.view(buffer) as Float32Array,
  });
  if (k === 0) {
    const values = lane.view(y) as Float32Array;
    const added = c && (lane.view(c) as Float32Array);
    for (let i = 0; i < values.length; i++) values[i] = added ? beta * added[i % added.length] : 0;
    return;
  }
  const dtype = y.dtype as 'f32' | 'f64';
  return gemm(lane, {
    dtype,
    transposeA,
    transposeB,
    alpha,
    beta: c ? beta : 1,
    hasC: c !== undefined,
    a: matrix(a),
    b: matrix(b),
    c: c && matrix(c),
    y: matrix(y),
  });
}
