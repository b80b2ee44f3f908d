import { rounded } from './q8-0';

/** Largest magnitude of n floats, n a multiple of 4. */
export function largestOf(x: usize, n: i32): f32 {
  let most = f32x4.abs(v128.load(x));
  for (let i = 16; i < n * 4; i += 16) most = f32x4.pmax(most, f32x4.abs(v128.load(x + i)));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  return f32x4.extract_lane(most, 0);
}

/** `round(inverse · x) + 1` of sixteen floats, a byte each. */
export function ternary16(x: usize, inverse: v128): v128 {
  const a = rounded(f32x4.mul(v128.load(x), inverse));
  const b = rounded(f32x4.mul(v128.load(x, 16), inverse));
  const c = rounded(f32x4.mul(v128.load(x, 32), inverse));
  const d = rounded(f32x4.mul(v128.load(x, 48), inverse));
  return i8x16.add(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)), i8x16.splat(1));
}
