/** The largest magnitude of each group of a row; the arithmetic is that of `core.groupMagnitudes`. */
export function groupMagnitudes(rows: i32, w: usize, magnitudes: usize, columns: i32, groupSize: i32): void {
  for (let r: i32 = 0; r < rows; r++)
    for (let start: i32 = 0; start < columns; start += groupSize, magnitudes += 4) {
      const count = min(groupSize, columns - start);
      const x = w + ((<usize>r * columns + start) << 2);
      let highs = f32x4.splat(0);
      let i: i32 = 0;
      for (; i + 4 <= count; i += 4) highs = f32x4.pmax(highs, f32x4.abs(v128.load(x + ((<usize>i) << 2))));
      let high = max(
        max(f32x4.extract_lane(highs, 0), f32x4.extract_lane(highs, 1)),
        max(f32x4.extract_lane(highs, 2), f32x4.extract_lane(highs, 3)),
      );
      for (; i < count; i++) high = max(high, abs(load<f32>(x + ((<usize>i) << 2))));
      store<f32>(magnitudes, high);
    }
}

/** E4M3 patterns of four quotients, each in the low byte of a lane. Three bits lie below the leading one; below 2^-6 steps are 2^-9. */
function patternsOf(w: v128, scale: v128): v128 {
  const value = f32x4.max(f32x4.splat(-448), f32x4.min(f32x4.splat(448), f32x4.div(w, scale)));
  const exponent = i32x4.max_s(v128.and(value, i32x4.splat(0x7f800000)), i32x4.splat(121 << 23));
  const step = i32x4.sub(exponent, i32x4.splat(3 << 23));
  const steps = f32x4.nearest(f32x4.mul(f32x4.abs(value), i32x4.sub(i32x4.splat(254 << 23), step)));
  const rounded = f32x4.mul(steps, step);
  const normal = i32x4.sub(i32x4.shr_u(rounded, 20), i32x4.splat(120 << 3));
  const small = f32x4.lt(rounded, i32x4.splat(121 << 23));
  const magnitude = v128.bitselect(i32x4.trunc_sat_f32x4_s(steps), normal, small);
  return v128.or(magnitude, v128.and(i32x4.shr_u(value, 24), i32x4.splat(0x80)));
}

export function roundMinifloat(rows: i32, w: usize, scales: usize, codes: usize, columns: i32, groupSize: i32): void {
  for (let r: i32 = 0; r < rows; r++)
    for (let start: i32 = 0; start < columns; start += groupSize, scales += 4) {
      const scale = f32x4.splat(load<f32>(scales));
      const end = min(columns, start + groupSize);
      const row = <usize>r * columns;
      let c = start;
      for (; c + 16 <= end; c += 16) {
        const x = w + ((row + c) << 2);
        const low = i16x8.narrow_i32x4_u(patternsOf(v128.load(x), scale), patternsOf(v128.load(x, 16), scale));
        const high = i16x8.narrow_i32x4_u(patternsOf(v128.load(x, 32), scale), patternsOf(v128.load(x, 48), scale));
        v128.store(codes + row + c, i8x16.narrow_i16x8_u(low, high));
      }
      for (; c < end; c++) {
        const pattern = patternsOf(f32x4.splat(load<f32>(w + ((row + c) << 2))), scale);
        store<u8>(codes + row + c, <u8>i32x4.extract_lane(pattern, 0));
      }
    }
}

/** Shifts the bits into place and lets a multiplication by 2^120, the difference of the biases, mend the exponent. */
function valuesOf(patterns: v128, scale: v128): v128 {
  const magnitude = v128.and(patterns, i32x4.splat(0x7f));
  const sign = i32x4.shl(v128.and(patterns, i32x4.splat(0x80)), 24);
  const scaled = f32x4.mul(i32x4.shl(magnitude, 20), i32x4.splat(0x7b800000));
  const value = v128.bitselect(i32x4.splat(0x7fc00000), v128.or(sign, scaled), i32x4.eq(magnitude, i32x4.splat(0x7f)));
  return f32x4.mul(scale, value);
}

export function dequantizeMinifloat(rows: i32, codes: usize, scales: usize, w: usize, columns: i32, groupSize: i32): void {
  for (let r: i32 = 0; r < rows; r++)
    for (let start: i32 = 0; start < columns; start += groupSize, scales += 4) {
      const scale = f32x4.splat(load<f32>(scales));
      const end = min(columns, start + groupSize);
      const row = <usize>r * columns;
      let c = start;
      for (; c + 4 <= end; c += 4) {
        const patterns = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(codes + row + c)));
        v128.store(w + ((row + c) << 2), valuesOf(patterns, scale));
      }
      for (; c < end; c++) store<f32>(w + ((row + c) << 2), f32x4.extract_lane(valuesOf(i32x4.splat(load<u8>(codes + row + c)), scale), 0));
    }
}
