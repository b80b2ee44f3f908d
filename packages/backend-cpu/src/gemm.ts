import type { Lane } from '@calibrant/kernels';
import type { GemmForm } from './gemm-model.js';

/** A matrix in row-major order on a lane: in its arena by address, or outside. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array | Float64Array;
}

/** `y = alpha · op(a) · op(b) + beta · c`, written into `y`. `c` has the shape of `y` or one row. */
export interface GemmCall extends GemmForm {
  readonly a: Matrix;
  readonly b: Matrix;
  readonly c?: Matrix;
  readonly y: Matrix;
}

/** An engine for dense matrix products on one lane. */
export type Gemm = (lane: Lane, call: GemmCall) => void | Promise<void>;
