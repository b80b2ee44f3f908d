/** 128 two-bit codes, a byte each, to 32 bytes (src/blocks/two-bit-planes.ts). */
export function packTwoBits(codes: usize, to: usize): void {
  for (let l = 0; l < 32; l += 16) {
    const low = v128.or(v128.load(codes + l), i8x16.shl(v128.load(codes + l, 32), 2));
    const high = v128.or(i8x16.shl(v128.load(codes + l, 64), 4), i8x16.shl(v128.load(codes + l, 96), 6));
    v128.store(to + l, v128.or(low, high));
  }
}

/** The sixteen codes from 16j on of a super-block's planes at `from`. */
export function twoBits16(from: usize, j: i32): v128 {
  const packed = v128.load(from + (j >> 3) * 32 + (j & 1) * 16);
  return v128.and(i8x16.shr_u(packed, ((j >> 1) & 3) * 2), i8x16.splat(3));
}
