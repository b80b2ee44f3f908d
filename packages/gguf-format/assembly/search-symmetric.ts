import { nearestCodes } from './lanes';

/** `w · x` per element and lane; up to 32 elements. */
const WX: usize = memory.data(32 * 16, 16);
/** Results: the scale, and the inverse scale that made the best codes (0 where all of x is zero and so are the codes). */
export const SCALE: usize = memory.data(16, 16);
export const INVERSE: usize = memory.data(16, 16);

const ALL_ZERO: f32 = 1e-15;

/**
 * The symmetric search (src/search/symmetric.ts) on four blocks at once, one per lane, each with its sums in index order.
 * `x` and `w` hold n interleaved elements.
 */
export function searchSymmetric(x: usize, w: usize, n: i32, levels: i32): void {
  let magnitude = f32x4.splat(0);
  let max = f32x4.splat(0);
  for (let i = 0; i < n * 16; i += 16) {
    const value = v128.load(x + i);
    const size = f32x4.abs(value);
    const larger = f32x4.gt(size, magnitude);
    magnitude = v128.bitselect(size, magnitude, larger);
    max = v128.bitselect(value, max, larger);
    v128.store(WX + i, f32x4.mul(v128.load(w + i), value));
  }
  const low = -levels;
  const high = levels - 1;
  let inverse = f32x4.div(f32x4.splat(<f32>-levels), max);
  let bestInverse = inverse;
  let best = f32x4.splat(0);
  let scale = f32x4.splat(0);
  for (let trial = -10; trial <= 9; trial++) {
    // Trial -10 stands for the plain first scale.
    if (trial == 0) continue;
    if (trial > -10) inverse = f32x4.div(f32x4.splat(-(<f32>levels + <f32>0.1 * <f32>trial)), max);
    let sumXl = f32x4.splat(0);
    let sumLl = f32x4.splat(0);
    for (let i = 0; i < n * 16; i += 16) {
      const l = f32x4.convert_i32x4_s(nearestCodes(f32x4.mul(inverse, v128.load(x + i)), low, high));
      sumXl = f32x4.add(sumXl, f32x4.mul(v128.load(WX + i), l));
      sumLl = f32x4.add(sumLl, f32x4.mul(f32x4.mul(v128.load(w + i), l), l));
    }
    const positive = f32x4.gt(sumLl, f32x4.splat(0));
    const ratio = f32x4.div(sumXl, sumLl);
    if (trial == -10) {
      scale = v128.and(ratio, f32x4.ne(sumLl, f32x4.splat(0)));
      best = f32x4.mul(scale, sumXl);
      continue;
    }
    const better = v128.and(positive, f32x4.gt(f32x4.mul(sumXl, sumXl), f32x4.mul(best, sumLl)));
    scale = v128.bitselect(ratio, scale, better);
    best = v128.bitselect(f32x4.mul(ratio, sumXl), best, better);
    bestInverse = v128.bitselect(inverse, bestInverse, better);
  }
  const zero = f32x4.lt(magnitude, f32x4.splat(ALL_ZERO));
  v128.store(SCALE, v128.andnot(scale, zero));
  v128.store(INVERSE, v128.andnot(bestInverse, zero));
}

/** The codes `0 … 2 · levels − 1` of 4 consecutive elements for an inverse scale of the search. */
export function symmetricCodes(x: v128, inverse: f32, levels: i32): v128 {
  if (inverse == 0) return i32x4.splat(0);
  return i32x4.add(nearestCodes(f32x4.mul(f32x4.splat(inverse), x), -levels, levels - 1), i32x4.splat(levels));
}
