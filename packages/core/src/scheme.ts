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

/** A block type that is a symmetric integer grid with one binary16 scale for each block: other formats' codes go in without rounding. */
export interface BlockIntegers {
  /** Distances of codes from their zero point that fit are −2^(bits − 1) … 2^(bits − 1) − 1. */
  readonly bits: 4 | 5 | 8;
  /**
   * Codes u8 `[rows, columns]`, and of each block its zero point u8 and its scale f32 `[rows, columns / blockSize]`; binary16 must hold the scales exactly.
   */
  readonly pack: Kernel<'codes' | 'zeroPoints' | 'scales', 'blocks', Record<string, never>>;
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
  /** Present where the type is a plain integer grid. */
  readonly integers?: BlockIntegers;
}

/** Stored as it is, in this float type. */
export interface FloatScheme {
  readonly kind: 'float';
  readonly dtype: 'f32' | 'f16' | 'bf16';
}

/** 8-bit floats (OCP E4M3) times a scale: one per tensor, per output row, or per block of rows and columns (DeepSeek's 128 × 128). */
export interface MinifloatScheme {
  readonly kind: 'minifloat';
  readonly dtype: 'f8_e4m3';
  readonly granularity: 'tensor' | 'channel' | 'block';
  /** Rows and columns of a block; set when granularity is `block`. Blocks at the edges are shorter. */
  readonly blockShape?: readonly [number, number];
}

/** The numeric grid of one tensor. */
export type TensorScheme = AffineScheme | BlockScheme | FloatScheme | MinifloatScheme;

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

/** Bit patterns of 8-bit floats. */
export interface MinifloatTensor {
  readonly kind: 'minifloat';
  readonly scheme: MinifloatScheme;
  /** `[out, in]` */
  readonly shape: readonly number[];
  /** `[out, in]` */
  readonly codes: Uint8Array;
  /** f32 `[1, 1]`, `[out, 1]` or `[ceil(out / rows), ceil(in / columns)]`. */
  readonly scales: Tensor;
  /** Where the codes begin in the weight that the scales belong to, for a range of its rows; 0 if absent. */
  readonly firstRow?: number;
}

export type QuantizedTensor = AffineTensor | BlockTensor | FloatTensor | MinifloatTensor;
