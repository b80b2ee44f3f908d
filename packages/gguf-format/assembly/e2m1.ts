import { store16 } from './q4-0';

/** Twice the values of the sixteen codes; there is no −0. */
const DOUBLED = i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/**
 * The nearest codes of sixteen floats for the scale of doubled values, a byte each. A magnitude on the limit between two codes takes the lower one,
 * and so does every one where the upper value is beyond f32. A negative value that becomes 0 has no sign.
 */
export function e2m1Codes(x: usize, scale: f32): v128 {
  if (scale == 0) return i8x16.splat(0);
  const ab = i16x8.narrow_i32x4_s(limitsBelow(v128.load(x), scale), limitsBelow(v128.load(x, 16), scale));
  const cd = i16x8.narrow_i32x4_s(limitsBelow(v128.load(x, 32), scale), limitsBelow(v128.load(x, 48), scale));
  const codes = i8x16.neg(i8x16.narrow_i16x8_s(ab, cd));
  const signs = i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(i32x4.shr_s(v128.load(x), 31), i32x4.shr_s(v128.load(x, 16), 31)),
    i16x8.narrow_i32x4_s(i32x4.shr_s(v128.load(x, 32), 31), i32x4.shr_s(v128.load(x, 48), 31)),
  );
  const negative = v128.andnot(v128.and(signs, i8x16.splat(8)), i8x16.eq(codes, i8x16.splat(0)));
  return v128.or(codes, negative);
}

/** Minus the number of limits below each magnitude. */
function limitsBelow(value: v128, scale: f32): v128 {
  const size = f32x4.abs(value);
  const lower = i32x4.add(f32x4.gt(size, f32x4.splat(scale * 0.5)), f32x4.gt(size, f32x4.splat(scale * 1.5)));
  const middle = i32x4.add(f32x4.gt(size, f32x4.splat(scale * 2.5)), f32x4.gt(size, f32x4.splat(scale * 3.5)));
  const upper = i32x4.add(f32x4.gt(size, f32x4.splat(scale * 5)), f32x4.gt(size, f32x4.splat(scale * 8 - scale)));
  return i32x4.add(i32x4.add(lower, middle), i32x4.add(upper, f32x4.gt(size, f32x4.splat(scale * 12 - scale * 2))));
}

const VALUES: usize = memory.data(16, 16);
const FOUND: usize = memory.data(16, 16);

/** The same by comparing the errors of all codes, as f32 rounds them. */
export function comparedCodes(x: usize, scale: f32): v128 {
  v128.store(VALUES, DOUBLED);
  for (let i = 0; i < 16; i++) {
    const value = load<f32>(x + i * 4);
    let best = 0;
    let least = abs<f32>(value);
    for (let code = 1; code < 16; code++) {
      const error = abs<f32>(<f32>load<i8>(VALUES + code) * scale - value);
      if (error < least) {
        best = code;
        least = error;
      }
    }
    store<u8>(FOUND + i, best);
  }
  return v128.load(FOUND);
}

/** Sixteen values of codes times a scale. */
export function storeE2m1(codes: v128, scale: v128, x: usize): void {
  store16(i8x16.swizzle(DOUBLED, codes), scale, x);
}
