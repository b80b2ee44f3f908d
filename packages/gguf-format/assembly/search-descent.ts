import { nearestCodes } from './lanes';

/** `x²` and `x³` per element and lane. */
const W: usize = memory.data(16 * 16, 16);
const WX: usize = memory.data(16 * 16, 16);
/** Results: the scale, and codes from −levels on as floats, per element and lane; −levels where all of x is zero. */
export const SCALE: usize = memory.data(16, 16);
export const FOUND: usize = memory.data(16 * 16, 16);

const ALL_ZERO: f32 = 1e-15;

/** The search by coordinate descent (src/search/descent.ts) on four sub-blocks of 16 interleaved elements at once, one per lane. */
export function searchByDescent(x: usize, levels: i32): void {
  const zero = f32x4.splat(0);
  const low = -levels;
  const high = levels - 1;
  let magnitude = zero;
  let max = zero;
  for (let i = 0; i < 256; i += 16) {
    const value = v128.load(x + i);
    const size = f32x4.abs(value);
    const larger = f32x4.gt(size, magnitude);
    magnitude = v128.bitselect(size, magnitude, larger);
    max = v128.bitselect(value, max, larger);
  }
  const inverse = f32x4.div(f32x4.splat(<f32>-levels), max);
  let sumXl = zero;
  let sumLl = zero;
  for (let i = 0; i < 256; i += 16) {
    const value = v128.load(x + i);
    const w = f32x4.mul(value, value);
    const wx = f32x4.mul(w, value);
    const l = f32x4.convert_i32x4_s(nearestCodes(f32x4.mul(inverse, value), low, high));
    v128.store(W + i, w);
    v128.store(WX + i, wx);
    v128.store(FOUND + i, l);
    sumXl = f32x4.add(sumXl, f32x4.mul(wx, l));
    sumLl = f32x4.add(sumLl, f32x4.mul(f32x4.mul(w, l), l));
  }
  for (let sweep = 0; sweep < 5; sweep++) {
    let changed = zero;
    for (let i = 0; i < 256; i += 16) {
      const w = v128.load(W + i);
      const wx = v128.load(WX + i);
      const old = v128.load(FOUND + i);
      const slx = f32x4.sub(sumXl, f32x4.mul(wx, old));
      const sl2 = f32x4.sub(sumLl, f32x4.mul(f32x4.mul(w, old), old));
      const l = f32x4.convert_i32x4_s(nearestCodes(f32x4.div(f32x4.mul(v128.load(x + i), sl2), slx), low, high));
      const moved = v128.and(f32x4.gt(slx, zero), f32x4.ne(l, old));
      if (!v128.any_true(moved)) continue;
      const newXl = f32x4.add(slx, f32x4.mul(wx, l));
      const newLl = f32x4.add(sl2, f32x4.mul(f32x4.mul(w, l), l));
      const gain = f32x4.gt(f32x4.mul(f32x4.mul(newXl, newXl), sumLl), f32x4.mul(f32x4.mul(sumXl, sumXl), newLl));
      const better = v128.and(v128.and(moved, gain), f32x4.gt(newLl, zero));
      v128.store(FOUND + i, v128.bitselect(l, old, better));
      sumXl = v128.bitselect(newXl, sumXl, better);
      sumLl = v128.bitselect(newLl, sumLl, better);
      changed = v128.or(changed, better);
    }
    if (!v128.any_true(changed)) break;
  }
  const allZero = f32x4.lt(magnitude, f32x4.splat(ALL_ZERO));
  const solvable = v128.andnot(f32x4.gt(sumLl, zero), allZero);
  v128.store(SCALE, v128.and(f32x4.div(sumXl, sumLl), solvable));
  if (!v128.any_true(allZero)) return;
  const lowest = f32x4.splat(<f32>low);
  for (let i = 0; i < 256; i += 16) v128.store(FOUND + i, v128.bitselect(lowest, v128.load(FOUND + i), allZero));
}
