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

/**
 * How the codes of a block type become values, for methods that choose the codes themselves: the type's encoder finds scales and offsets, the
 * method the codes, and `value = scale · levels[code] − offset` (the product rounded to f32, then the difference) is what the type's decoder gives.
 */
export interface BlockGrid {
  /** Elements that share a scale and an offset; divides the block size. */
  readonly groupSize: number;
  /** The value of each code in units of the scale, ascending. */
  readonly levels: readonly number[];
  /** Scales and offsets f32 `[rows, columns / groupSize]` of encoded rows. */
  readonly steps: Kernel<'blocks', 'scales' | 'offsets', Record<string, never>>;
  /** Encoded rows with other codes, u8 `[rows, columns]`, and the same scales and offsets. */
  readonly replaceCodes: Kernel<'blocks' | 'codes', 'recoded', Record<string, never>>;
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
  /** Absent for types whose codes do not choose values one by one. */
  readonly grid?: BlockGrid;
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
