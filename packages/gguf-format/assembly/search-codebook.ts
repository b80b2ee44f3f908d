import { Codebook } from './codebook';
import { onGrid, snapEight, snapFour } from './nearest-point';
import { searchPositive } from './search-positive';

/** Which vectors are rounded anew with the best scale: all, those that were no points, or all when any was none. */
export const ALL: i32 = 0;
export const OFF_GRID: i32 = 1;
export const ALL_IF_ANY: i32 = 2;

const MAGNITUDES: usize = memory.data(128, 16);
const ROOTS: usize = memory.data(128, 16);
const CODES: usize = memory.data(32, 16);
/** `w x` of each element. */
const WX: usize = memory.data(128, 16);
/** Places of up to eight points: of the trial, and the result. */
const TRIED: usize = memory.data(16, 16);
export const FOUND: usize = memory.data(16, 16);
/** Result: bits of minus signs, a byte for eight elements. */
export const SIGNS: usize = memory.data(4, 16);

/**
 * The search of a sub-block of n elements (src/search/codebook.ts), with its reach and trials. Returns the scale, −1 for a sub-block of zeros.
 */
export function searchCodebook(
  book: Codebook,
  x: usize,
  w: usize,
  n: i32,
  trials: i32,
  step: f32,
  searched: bool,
  even: bool,
  zeroBelow: f32,
  again: i32,
): f32 {
  for (let start = 0; start < n; start += 8)
    store<u8>(SIGNS + (start >> 3), splitSigns(x + start * 4, w + start * 4, even, MAGNITUDES + start * 4));
  let largest = load<f32>(MAGNITUDES);
  for (let i = 1; i < n; i++) {
    const value = load<f32>(MAGNITUDES + i * 4);
    largest = largest > value ? largest : value;
  }
  if (zeroBelow == 0 ? largest == 0 : largest < zeroBelow) return -1;
  const top: f32 = <f32>(book.radix * 2 - 1);
  let scale: f32 = largest / top;
  let reach = largest;
  if (searched) {
    scale = searchPositive(MAGNITUDES, w, n, book.radix + 1, CODES);
    reach = scale * <f32>book.radix;
    if (reach <= 0) return -1;
  }
  for (let i = 0; i < n * 4; i += 16) {
    const weights = v128.load(w + i);
    v128.store(ROOTS + i, f32x4.sqrt(weights));
    v128.store(WX + i, f32x4.mul(weights, v128.load(MAGNITUDES + i)));
  }
  const groups = n / book.size;
  const everyGroup = (1 << groups) - 1;
  v128.store(FOUND, i64x2.splat(0));
  let points = again == OFF_GRID ? everyGroup : 0;
  let best: f32 = 0;
  for (let trial = -trials; trial <= trials; trial++) {
    const inverse: f32 = (top + <f32>trial * step) / reach;
    const tried = snapGroups(book, groups, 0, inverse, <f32>1 / inverse, TRIED);
    const sums = fit(book, groups, TRIED, w);
    const sumXq = f32x4.extract_lane(sums, 0);
    const sumQq = f32x4.extract_lane(sums, 1);
    if (!(sumQq > 0 && sumXq * sumXq > best * sumQq)) continue;
    scale = sumXq / sumQq;
    best = scale * sumXq;
    points = tried;
    v128.store(FOUND, v128.load(TRIED));
  }
  if (scale > 0 && (again == ALL || points != everyGroup)) {
    snapGroups(book, groups, again == OFF_GRID ? points : 0, <f32>1 / scale, scale, FOUND);
    const sums = fit(book, groups, FOUND, w);
    if (f32x4.extract_lane(sums, 1) > 0) scale = f32x4.extract_lane(sums, 0) / f32x4.extract_lane(sums, 1);
  }
  if (scale != scale) return -1;
  if (scale < 0) store<u32>(SIGNS, ~load<u32>(SIGNS));
  if (even) store<u32>(SIGNS, load<u32>(SIGNS) & 0x7f7f7f7f);
  return abs<f32>(scale);
}

/** Magnitudes of eight elements; returns the bits of minus signs. With an odd number of them where it must be even, the lightest element changes its sign. */
function splitSigns(x: usize, w: usize, even: bool, to: usize): i32 {
  const a = v128.load(x);
  const b = v128.load(x, 16);
  const zero = f32x4.splat(0);
  const positiveA = f32x4.ge(a, zero);
  const positiveB = f32x4.ge(b, zero);
  v128.store(to, v128.bitselect(a, f32x4.neg(a), positiveA));
  v128.store(to, v128.bitselect(b, f32x4.neg(b), positiveB), 16);
  let bits = (i32x4.bitmask(positiveA) | (i32x4.bitmask(positiveB) << 4)) ^ 255;
  if (!even || (popcnt(bits) & 1) == 0) return bits;
  let lightest = 0;
  let least: f32 = 0;
  for (let i = 0; i < 8; i++) {
    const value = load<f32>(x + i * 4);
    const weight: f32 = load<f32>(w + i * 4) * value * value;
    if (i == 0 || weight < least) {
      least = weight;
      lightest = i;
    }
  }
  store<f32>(to + lightest * 4, -load<f32>(to + lightest * 4));
  return bits ^ (1 << lightest);
}

/** Rounds the groups that are not in `keep` to points; returns which have been points from the start, and those of `keep`. */
function snapGroups(book: Codebook, groups: i32, keep: i32, inverse: f32, scale: f32, places: usize): i32 {
  let points = keep;
  const bytes: usize = book.size * 4;
  for (let group = 0; group < groups; group++) {
    if ((keep >> group) & 1) continue;
    const x = MAGNITUDES + group * bytes;
    const w = ROOTS + group * bytes;
    store<u16>(places + group * 2, bytes == 32 ? snapEight(book, x, w, inverse, scale) : snapFour(book, x, w, inverse, scale));
    if (onGrid) points |= 1 << group;
  }
  return points;
}

/** `Σ w x q` and `Σ w q²` in the first two lanes, each in the order of the elements. */
function fit(book: Codebook, groups: i32, places: usize, w: usize): v128 {
  let sums = f32x4.splat(0);
  const bytes: usize = book.size * 4;
  for (let group = 0, start: usize = 0; group < groups; group++, start += bytes) {
    const values = book.values + load<u16>(places + group * 2);
    for (let i: usize = 0; i < bytes; i += 16) {
      const q = v128.load(values + i);
      const wxq = f32x4.mul(v128.load(WX + start + i), q);
      const wqq = f32x4.mul(f32x4.mul(v128.load(w + start + i), q), q);
      const low = v128.shuffle<f32>(wxq, wqq, 0, 4, 1, 5);
      const high = v128.shuffle<f32>(wxq, wqq, 2, 6, 3, 7);
      sums = f32x4.add(f32x4.add(sums, low), v128.shuffle<f32>(low, low, 2, 3, 0, 1));
      sums = f32x4.add(f32x4.add(sums, high), v128.shuffle<f32>(high, high, 2, 3, 0, 1));
    }
  }
  return sums;
}
