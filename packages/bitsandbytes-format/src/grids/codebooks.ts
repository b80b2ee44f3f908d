import { NF4 } from '@calibrant/core';

/** A 4-bit codebook of bitsandbytes, and the rule by which a weight gets its code. */
export interface FourBitCodebook {
  readonly name: 'nf4' | 'fp4';
  /** f32 value of each code, in units of the block's largest magnitude. */
  readonly values: Float32Array;
  /** The code of each rank: how many of the `bounds` lie below the weight. Two ranks share the value 0 of FP4. */
  readonly codes: Uint8Array;
  /** f32 midpoints of neighbouring values, ascending. */
  readonly bounds: Float32Array;
}

const f = Math.fround;

function codebook(name: FourBitCodebook['name'], values: readonly number[], codes: readonly number[]): FourBitCodebook {
  const bounds = codes.slice(1).map((code, i) => f(f(values[codes[i]]) + f(values[code])) / 2);
  return { name, values: Float32Array.from(values), codes: Uint8Array.from(codes), bounds: Float32Array.from(bounds) };
}

const UP = Array.from({ length: 16 }, (_, code) => code);

/** 4-bit floats with 2 exponent bits of bias 2, 1 mantissa bit and a sign, divided by the largest: twelfths in the order of the bit patterns. */
const FP4_TWELFTHS = [0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3];

/** The codebooks of bitsandbytes' `get_4bit_type`; NF4 is that of QLoRA (Dettmers et al., arXiv 2305.14314, appendix E). */
export const CODEBOOKS: Readonly<Record<'nf4' | 'fp4', FourBitCodebook>> = {
  nf4: codebook('nf4', NF4.values, UP),
  fp4: codebook(
    'fp4',
    FP4_TWELFTHS.map((value) => f(value / 12)),
    [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3],
  ),
};
