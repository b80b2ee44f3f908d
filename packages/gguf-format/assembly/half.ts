/** The binary16 pattern nearest to an f32, ties to even; NaN keeps its sign and becomes quiet. */
export function toHalf(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // The last place of 0.5 is 2^-24, that of subnormal halves: the addition rounds.
  if (magnitude < 0x38800000) return sign | (reinterpret<u32>(abs<f32>(value) + 0.5) - 0x3f000000);
  return sign | ((magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13);
}

/** The value of a binary16 pattern. */
export function fromHalf(pattern: u32): f32 {
  const sign = (pattern & 0x8000) << 16;
  let magnitude = reinterpret<u32>(reinterpret<f32>((pattern & 0x7fff) << 13) * reinterpret<f32>(0x77800000));
  if ((pattern & 0x7c00) == 0x7c00) magnitude |= 0x7f800000;
  return reinterpret<f32>(sign | magnitude);
}

/** Four patterns in the low halves of the lanes. */
export function toHalf4(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  const sign = i32x4.shr_u(v128.xor(x, magnitude), 16);
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff - 0x38000000)), odd), 13);
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  let half = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000)));
  half = v128.bitselect(i32x4.splat(0x7c00), half, i32x4.ge_s(magnitude, i32x4.splat(0x477ff000)));
  half = v128.bitselect(i32x4.splat(0x7e00), half, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
  return v128.or(half, sign);
}

/** Four values of patterns in the low halves of the lanes. */
export function fromHalf4(patterns: v128): v128 {
  const sign = i32x4.shl(v128.and(patterns, i32x4.splat(0x8000)), 16);
  const top = i32x4.eq(v128.and(patterns, i32x4.splat(0x7c00)), i32x4.splat(0x7c00));
  const scaled = f32x4.mul(i32x4.shl(v128.and(patterns, i32x4.splat(0x7fff)), 13), i32x4.splat(0x77800000));
  return v128.or(v128.or(scaled, sign), v128.and(top, i32x4.splat(0x7f800000)));
}
