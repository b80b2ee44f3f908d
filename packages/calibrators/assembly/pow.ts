/**
 * `x^exponent` of four values x ≥ 0, 0 at 0, within 5e-6 of each where x is 0 or between 1e-6 and 1e4 and the exponent at most 3: `2^(exponent · log2 x)`. The logarithm by the
 * series of 2 artanh((m − 1) / (m + 1)) on m in [√½, √2), the power by the polynomial of Cephes' exp2f. Results below 2^−126 become 0 or that.
 */
export function pow4(x: v128, exponent: f32): v128 {
  // x = m · 2^e with m in [√½, √2).
  const shifted = i32x4.sub(x, i32x4.splat(0x3f3504f3));
  const e = f32x4.convert_i32x4_s(i32x4.shr_s(shifted, 23));
  const m = i32x4.add(v128.and(shifted, i32x4.splat(0x007fffff)), i32x4.splat(0x3f3504f3));
  const s = f32x4.div(f32x4.sub(m, f32x4.splat(1)), f32x4.add(m, f32x4.splat(1)));
  const square = f32x4.mul(s, s);
  // 2 / (k ln 2) for k = 7, 5, 3, 1.
  let p = f32x4.splat(4.1219858e-1);
  p = f32x4.add(f32x4.mul(p, square), f32x4.splat(5.7707802e-1));
  p = f32x4.add(f32x4.mul(p, square), f32x4.splat(9.6179669e-1));
  p = f32x4.add(f32x4.mul(p, square), f32x4.splat(2.8853901));
  const log = f32x4.add(e, f32x4.mul(p, s));
  const y = f32x4.pmax(f32x4.mul(log, f32x4.splat(exponent)), f32x4.splat(-126));
  // Adding 1.5 · 2^23 rounds to a whole number and leaves it in the low bits.
  const rounded = f32x4.add(y, f32x4.splat(12582912));
  const rest = f32x4.sub(y, f32x4.sub(rounded, f32x4.splat(12582912)));
  let q = f32x4.splat(1.5353362e-4);
  q = f32x4.add(f32x4.mul(q, rest), f32x4.splat(1.3398874e-3));
  q = f32x4.add(f32x4.mul(q, rest), f32x4.splat(9.6184374e-3));
  q = f32x4.add(f32x4.mul(q, rest), f32x4.splat(5.5503325e-2));
  q = f32x4.add(f32x4.mul(q, rest), f32x4.splat(2.4022648e-1));
  q = f32x4.add(f32x4.mul(q, rest), f32x4.splat(6.931472e-1));
  q = f32x4.add(f32x4.mul(q, rest), f32x4.splat(1));
  const power = i32x4.add(i32x4.shl(rounded, 23), i32x4.splat(0x3f800000));
  return v128.andnot(f32x4.mul(q, power), f32x4.eq(x, f32x4.splat(0)));
}
