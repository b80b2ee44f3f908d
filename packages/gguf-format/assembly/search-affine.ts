import { nearestCodes } from './lanes';

/** Codes of the current trial as floats, per element and lane. */
const CODES: usize = memory.data(32 * 16, 16);
/** Results: scale, minimum (≥ 0), and the inverse scale and base that made the best codes (inverse 0 where all codes are 0). */
export const SCALE: usize = memory.data(16, 16);
export const MIN: usize = memory.data(16, 16);
export const INVERSE: usize = memory.data(16, 16);
export const BASE: usize = memory.data(16, 16);

/** The codes of `inverse · (x − base)`. */
export function affineCodes(x: v128, inverse: v128, base: v128, levels: i32): v128 {
  return nearestCodes(f32x4.mul(inverse, f32x4.sub(x, base)), 0, levels);
}

function weighedError(x: usize, w: usize, end: usize, scale: v128, base: v128, absolute: bool): v128 {
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < end; i += 16) {
    const difference = f32x4.sub(f32x4.add(f32x4.mul(scale, v128.load(CODES + i)), base), v128.load(x + i));
    const error = absolute ? f32x4.abs(difference) : f32x4.mul(difference, difference);
    sum = f32x4.add(sum, f32x4.mul(v128.load(w + i), error));
  }
  return sum;
}

/**
 * The affine search (src/search/affine.ts) on four sub-blocks at once, one per lane, each with its sums in index order.
 * `x` and `w` hold n ≤ 32 interleaved elements.
 */
export function searchAffine(x: usize, w: usize, n: i32, levels: i32, first: f32, step: f32, count: i32, absolute: bool): void {
  const end = <usize>n * 16;
  let min = v128.load(x);
  let max = min;
  let sumW = v128.load(w);
  let sumX = f32x4.mul(sumW, min);
  for (let i: usize = 16; i < end; i += 16) {
    const value = v128.load(x + i);
    const weight = v128.load(w + i);
    min = f32x4.pmin(min, value);
    max = f32x4.pmax(max, value);
    sumW = f32x4.add(sumW, weight);
    sumX = f32x4.add(sumX, f32x4.mul(weight, value));
  }
  const zero = f32x4.splat(0);
  min = v128.bitselect(zero, min, f32x4.gt(min, zero));
  const flat = f32x4.eq(max, min);
  const flatMin = min;

  let inverse = f32x4.div(f32x4.splat(<f32>levels), f32x4.sub(max, min));
  let scale = f32x4.div(f32x4.splat(1), inverse);
  for (let i: usize = 0; i < end; i += 16)
    v128.store(CODES + i, f32x4.convert_i32x4_s(affineCodes(v128.load(x + i), inverse, min, levels)));
  let best = weighedError(x, w, end, scale, min, absolute);
  let bestInverse = inverse;
  let bestBase = min;

  for (let trial = 0; trial <= count; trial++) {
    inverse = f32x4.div(f32x4.splat(first + step * <f32>trial + <f32>levels), f32x4.sub(max, min));
    let sumL = zero;
    let sumLl = zero;
    let sumXl = zero;
    for (let i: usize = 0; i < end; i += 16) {
      const value = v128.load(x + i);
      const l = f32x4.convert_i32x4_s(affineCodes(value, inverse, min, levels));
      v128.store(CODES + i, l);
      const wl = f32x4.mul(v128.load(w + i), l);
      sumL = f32x4.add(sumL, wl);
      sumLl = f32x4.add(sumLl, f32x4.mul(wl, l));
      sumXl = f32x4.add(sumXl, f32x4.mul(wl, value));
    }
    const determinant = f32x4.sub(f32x4.mul(sumW, sumLl), f32x4.mul(sumL, sumL));
    const solvable = f32x4.gt(determinant, zero);
    if (!v128.any_true(solvable)) continue;
    let thisScale = f32x4.div(f32x4.sub(f32x4.mul(sumW, sumXl), f32x4.mul(sumX, sumL)), determinant);
    let thisMin = f32x4.div(f32x4.sub(f32x4.mul(sumLl, sumX), f32x4.mul(sumL, sumXl)), determinant);
    const above = f32x4.gt(thisMin, zero);
    thisMin = v128.andnot(thisMin, above);
    thisScale = v128.bitselect(f32x4.div(sumXl, sumLl), thisScale, above);
    const error = weighedError(x, w, end, thisScale, thisMin, absolute);
    const better = v128.and(solvable, f32x4.lt(error, best));
    if (!v128.any_true(better)) continue;
    best = v128.bitselect(error, best, better);
    scale = v128.bitselect(thisScale, scale, better);
    bestInverse = v128.bitselect(inverse, bestInverse, better);
    bestBase = v128.bitselect(min, bestBase, better);
    min = v128.bitselect(thisMin, min, better);
  }
  v128.store(SCALE, v128.andnot(scale, flat));
  v128.store(MIN, f32x4.neg(v128.bitselect(flatMin, min, flat)));
  v128.store(INVERSE, v128.andnot(bestInverse, flat));
  v128.store(BASE, bestBase);
}
