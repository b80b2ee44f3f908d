/** Result: the scale, 0 where all of x is zero. */
export const SCALE: usize = memory.data(16, 16);

const ALL_ZERO: f32 = 1e-15;
const VALUES = i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
// Doubled, values fall into 16 ranges of 32 from LEAST on, chosen so that none holds more than one limit between two codes. Per range: the code
// below that limit, and how far into the range it is (127: none).
const LEAST: i32 = -242;
const BELOW = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 15);
const LIMIT = i8x16(11, 23, 30, 127, 30, 25, 18, 9, 24, 17, 13, 12, 16, 28, 127, 127);

/** The codes of sixteen values in four vectors, a byte each in their order: the nearest value, of two equally near ones the upper. */
export function nonLinearCodes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i16x8.narrow_i32x4_s(doubled(a), doubled(b));
  const cd = i16x8.narrow_i32x4_s(doubled(c), doubled(d));
  const range = i8x16.narrow_i16x8_u(i16x8.shr_u(ab, 5), i16x8.shr_u(cd, 5));
  const mask = i16x8.splat(31);
  const within = i8x16.narrow_i16x8_u(v128.and(ab, mask), v128.and(cd, mask));
  return i8x16.sub(i8x16.swizzle(BELOW, range), i8x16.ge_s(within, i8x16.swizzle(LIMIT, range)));
}

/** Twice the value rounded down, clamped to the ranges and counted from LEAST on; the highest for what is not a number. */
function doubled(value: v128): v128 {
  const floor = f32x4.floor(f32x4.add(value, value));
  const clamped = f32x4.pmax(f32x4.splat(<f32>LEAST), f32x4.pmin(f32x4.splat(255), floor));
  return i32x4.sub(i32x4.trunc_sat_f32x4_s(clamped), i32x4.splat(LEAST));
}

/** The values of codes, a byte each. */
export function nonLinearValues(codes: v128): v128 {
  return i8x16.swizzle(VALUES, codes);
}

/** The search for a scale on the non-linear grid (src/search/non-linear.ts) on four blocks of 32 interleaved elements at once, one per lane. */
export function searchNonLinear(x: usize, w: usize): void {
  let magnitude = f32x4.splat(0);
  let max = f32x4.splat(0);
  for (let i = 0; i < 512; i += 16) {
    const value = v128.load(x + i);
    const size = f32x4.abs(value);
    const larger = f32x4.gt(size, magnitude);
    magnitude = v128.bitselect(size, magnitude, larger);
    max = v128.bitselect(value, max, larger);
  }
  let best = f32x4.splat(0);
  let scale = f32x4.splat(0);
  for (let trial = -8; trial <= 7; trial++) {
    // Trial -8 stands for the plain first scale.
    const inverse =
      trial == -8 ? f32x4.div(f32x4.splat(1), f32x4.div(max, f32x4.splat(127))) : f32x4.div(f32x4.splat(<f32>(trial - 127)), max);
    let sumXq = f32x4.splat(0);
    let sumQq = f32x4.splat(0);
    for (let i: usize = 0; i < 512; i += 64) {
      const a = v128.load(x + i);
      const b = v128.load(x + i, 16);
      const c = v128.load(x + i, 32);
      const d = v128.load(x + i, 48);
      const values = nonLinearValues(
        nonLinearCodes(f32x4.mul(inverse, a), f32x4.mul(inverse, b), f32x4.mul(inverse, c), f32x4.mul(inverse, d)),
      );
      const low = i16x8.extend_low_i8x16_s(values);
      const high = i16x8.extend_high_i8x16_s(values);
      const qa = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low));
      const qb = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low));
      const qc = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high));
      const qd = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high));
      const wa = f32x4.mul(v128.load(w + i), qa);
      const wb = f32x4.mul(v128.load(w + i, 16), qb);
      const wc = f32x4.mul(v128.load(w + i, 32), qc);
      const wd = f32x4.mul(v128.load(w + i, 48), qd);
      sumXq = f32x4.add(f32x4.add(sumXq, f32x4.mul(wa, a)), f32x4.mul(wb, b));
      sumXq = f32x4.add(f32x4.add(sumXq, f32x4.mul(wc, c)), f32x4.mul(wd, d));
      sumQq = f32x4.add(f32x4.add(sumQq, f32x4.mul(wa, qa)), f32x4.mul(wb, qb));
      sumQq = f32x4.add(f32x4.add(sumQq, f32x4.mul(wc, qc)), f32x4.mul(wd, qd));
    }
    const positive = f32x4.gt(sumQq, f32x4.splat(0));
    const ratio = f32x4.div(sumXq, sumQq);
    if (trial == -8) {
      scale = v128.and(ratio, positive);
      best = f32x4.mul(scale, sumXq);
      continue;
    }
    const better = v128.and(positive, f32x4.gt(f32x4.mul(sumXq, sumXq), f32x4.mul(best, sumQq)));
    scale = v128.bitselect(ratio, scale, better);
    best = v128.bitselect(f32x4.mul(ratio, sumXq), best, better);
  }
  v128.store(SCALE, v128.andnot(scale, f32x4.lt(magnitude, f32x4.splat(ALL_ZERO))));
}

/** The nibbles of 32 elements for an inverse scale: byte j holds elements j and j + 16. */
export function nonLinearBlock(x: usize, inverse: f32): v128 {
  return v128.or(sixteen(x, inverse), i8x16.shl(sixteen(x + 64, inverse), 4));
}

function sixteen(x: usize, inverse: f32): v128 {
  const factor = f32x4.splat(inverse);
  return nonLinearCodes(
    f32x4.mul(factor, v128.load(x)),
    f32x4.mul(factor, v128.load(x, 16)),
    f32x4.mul(factor, v128.load(x, 32)),
    f32x4.mul(factor, v128.load(x, 48)),
  );
}
