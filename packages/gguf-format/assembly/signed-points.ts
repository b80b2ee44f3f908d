import { Codebook } from './codebook';

/** Eight signs from seven bits: the eighth makes the number of minus signs even. */
export function evenSigns(bits: u32): u32 {
  return bits | ((popcnt(bits) & 1) << 7);
}

/** Values of the levels of IQ2, in eighths, and of IQ3_XXS, in quarters. */
const EIGHTHS = i8x16(8, 25, 43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
const QUARTERS = i8x16(4, 12, 20, 28, 36, 44, 52, 62, 0, 0, 0, 0, 0, 0, 0, 0);

/** Eight elements of a point of IQ2. */
export function storeEight(book: Codebook, point: u32, signs: u32, factor: f32, x: usize): void {
  storeSigned(i8x16.swizzle(EIGHTHS, v128.load64_zero(book.points + point * 8)), signs, factor, x);
}

/** Eight elements of two points of IQ3: with values in quarters, or odd ones. */
export function storeTwoFours(book: Codebook, first: u32, second: u32, quarters: bool, signs: u32, factor: f32, x: usize): void {
  const levels = v128.load32_lane(book.points + second * 4, v128.load32_zero(book.points + first * 4), 1);
  const values = quarters ? i8x16.swizzle(QUARTERS, levels) : i8x16.add(i8x16.add(levels, levels), i8x16.splat(1));
  storeSigned(values, signs, factor, x);
}

function storeSigned(values: v128, signs: u32, factor: f32, x: usize): void {
  const words = i16x8.extend_low_i8x16_s(values);
  const bits = i32x4.splat(signs);
  const scale = f32x4.splat(factor);
  const low = f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)));
  const high = f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words)));
  // Bit i of the signs comes to the top of lane i.
  const minus = i32x4.splat(0x80000000);
  const tops = i32x4(1 << 31, 1 << 30, 1 << 29, 1 << 28);
  v128.store(x, v128.xor(low, v128.and(i32x4.mul(bits, tops), minus)));
  v128.store(x, v128.xor(high, v128.and(i32x4.mul(i32x4.shr_u(bits, 4), tops), minus)), 16);
}
