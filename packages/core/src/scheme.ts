import type { Kernel } from './kernel.js';
import type { Tensor } from './tensor.js';

export type Granularity = 'tensor' | 'channel' | 'group';

/**
 * An integer grid: `w ≈ scale · (code − zeroPoint)` with unsigned codes `0 … 2^bits − 1`.
 * Symmetric grids have `zeroPoint = 2^(bits−1)`. One scale per tensor, per output row, or per `groupSize` inputs of a row.
 */
export interface AffineScheme {
  readonly kind: 'affine';
  readonly bits: 2 | 3 | 4 | 5 | 6 | 7 | 8;
  readonly granularity: Granularity;
  /** Inputs per group; set when granularity is `group`. */
  readonly groupSize?: number;
  readonly symmetric: boolean;
}

/** A grid defined by a file format as blocks of bytes, such as `q4_K`. The kernels turn f32 rows `[rows, columns]` into bytes `[rows, bytesPerRow]` and back. */
export interface BlockScheme {
  readonly kind: 'block';
  /** `q4_K`. */
  readonly type: string;
  /** Elements per block; rows must be a multiple. */
  readonly blockSize: number;
  readonly blockBytes: number;
  /** Cannot be encoded well (or at all) without importance. */
  readonly needsImportance?: boolean;
  readonly encode: Kernel<'x' | 'importance', 'blocks', Record<string, never>>;
  readonly decode: Kernel<'blocks', 'x', Record<string, never>>;
}

/** Stored as it is, in this float type. */
export interface FloatScheme {
  readonly kind: 'float';
  readonly dtype: 'f32' | 'f16' | 'bf16';
}

/** The numeric grid of one tensor. */
export type TensorScheme = AffineScheme | BlockScheme | FloatScheme;

/** Codes on an affine grid. */
export interface AffineTensor {
  readonly kind: 'affine';
  readonly scheme: AffineScheme;
  /** `[out, in]` */
  readonly shape: readonly number[];
  /** One code per weight, `[out, in]`. */
  readonly codes: Uint8Array;
  /** `[out, groups]` (`[1, 1]` per tensor, `[out, 1]` per channel). */
  readonly scales: Tensor;
  /** `[out, groups]`, u8. */
  readonly zeroPoints: Tensor;
  /** `[in]`: the group of each input when groups are not contiguous (GPTQ with act-order and no static groups). */
  readonly groupIndex?: Int32Array;
}

/** Encoded blocks. */
export interface BlockTensor {
  readonly kind: 'block';
  readonly scheme: BlockScheme;
  readonly shape: readonly number[];
  /** `[rows · bytesPerRow]` */
  readonly bytes: Uint8Array;
}

/** A tensor kept in floating point. */
export interface FloatTensor {
  readonly kind: 'float';
  readonly scheme: FloatScheme;
  readonly shape: readonly number[];
  readonly tensor: Tensor;
}

export type QuantizedTensor = AffineTensor | BlockTensor | FloatTensor;
