/** Rows of f32 as rows of a largest magnitude (f32) and `columns` signed bytes. */
export function encodeInt8(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++, x += columns * 4) {
    let largest = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= columns; i += 4) largest = f32x4.max(largest, f32x4.abs(toHalf(v128.load(x + i * 4))));
    largest = f32x4.max(largest, v128.shuffle<f32>(largest, largest, 2, 3, 0, 1));
    let absmax = max(f32x4.extract_lane(largest, 0), f32x4.extract_lane(largest, 1));
    for (; i < columns; i++) absmax = max(absmax, abs(f32x4.extract_lane(toHalf(f32x4.splat(load<f32>(x + i * 4))), 0)));
    store<f32>(blocks, absmax);
    blocks += 4;
    const factor = f32x4.splat(absmax > 0 ? <f32>127 / absmax : 0);
    for (i = 0; i + 4 <= columns; i += 4, blocks += 4) {
      const codes = nearest(v128.load(x + i * 4), factor);
      const words = i16x8.narrow_i32x4_s(codes, codes);
      v128.store32_lane(blocks, i8x16.narrow_i16x8_s(words, words), 0);
    }
    for (; i < columns; i++, blocks++) store<i8>(blocks, <i8>i32x4.extract_lane(nearest(f32x4.splat(load<f32>(x + i * 4)), factor), 0));
  }
}

/** `(absmax / 127) · code`, both operations rounded to f32. */
export function decodeInt8(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let row = 0; row < rows; row++) {
    const scale = load<f32>(blocks) / <f32>127;
    blocks += 4;
    for (let i = 0; i < columns; i++, blocks++, x += 4) store<f32>(x, scale * <f32>load<i8>(blocks));
  }
}

function nearest(x: v128, factor: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(toHalf(x), factor)));
}

/** Rounded to binary16, ties to even; what is beyond its range becomes its largest number. */
function toHalf(x: v128): v128 {
  const sign = v128.and(x, i32x4.splat(i32.MIN_VALUE));
  const magnitude = f32x4.abs(x);
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = v128.and(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff)), odd), i32x4.splat(~0x1fff));
  // Subnormal numbers are multiples of 2^-24, which is what f32 has next to 1/2.
  const subnormal = f32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), f32x4.splat(0.5));
  const small = f32x4.lt(magnitude, f32x4.splat(6.103515625e-5));
  return v128.or(sign, f32x4.min(v128.bitselect(subnormal, normal, small), f32x4.splat(65504)));
}
