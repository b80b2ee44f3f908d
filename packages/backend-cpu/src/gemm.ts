import type { LaneBuffer, LaneMemory } from '@calibrant/kernels';
import type { GemmForm } from './gemm-model.js';

/** A row-major matrix on a lane: at an address of the arena, or in memory outside (`external`). Addresses stay valid when the arena grows. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly address: number;
  readonly external?: Float32Array | Float64Array;
}

/** `y = alpha · op(a) · op(b) + beta · c`. `c` has the shape of `y` or is one row; it may be `y` itself. All sizes are positive. */
export interface GemmCall extends GemmForm {
  readonly a: Matrix;
  readonly b: Matrix;
  readonly c?: Matrix;
  readonly y: Matrix;
}

/** An engine for dense matrix products on one lane. */
export type Gemm = (lane: LaneMemory, call: GemmCall) => void | Promise<void>;

/** A buffer of rank 1 or 2 as a matrix. */
export function matrixOf(buffer: LaneBuffer): Matrix {
  return {
    rows: buffer.shape.length === 1 ? 1 : buffer.shape[0],
    columns: buffer.shape.at(-1)!,
    address: buffer.address,
    external: buffer.external as Float32Array | undefined,
  };
}

/** The elements of a matrix, valid until the arena grows. */
export function elements(
  lane: LaneMemory,
  { rows, columns, address, external }: Matrix,
  dtype: 'f32' | 'f64',
): Float32Array | Float64Array {
  if (external) return external;
  const { buffer } = lane.memory;
  return dtype === 'f32' ? new Float32Array(buffer, address, rows * columns) : new Float64Array(buffer, address, rows * columns);
}
