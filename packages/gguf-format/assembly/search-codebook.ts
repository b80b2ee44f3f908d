import { Codebook } from './codebook';
import { addLanes, nearestPoint, onGrid, storeKeys } from './nearest-point';
import { searchPositive } from './search-positive';

/** Which vectors are rounded anew with the best scale: all, those that were no points, or all when any was none. */
export const ALL: i32 = 0;
export const OFF_GRID: i32 = 1;
export const ALL_IF_ANY: i32 = 2;

const MAGNITUDES: usize = memory.data(128, 16);
const ROOTS: usize = memory.data(128, 16);
const CODES: usize = memory.data(32, 16);
/** Keys of up to eight groups. */
const KEYS: usize = memory.data(32, 16);
/** `w x` of each element. */
const WX: usize = memory.data(128, 16);
/** Places of up to eight points: of four trials, and the result. */
const TRIED: usize = memory.data(64, 16);
export const FOUND: usize = memory.data(16, 16);
/** `Σ w x q` and `Σ w q²` of four trials. */
const SUMS: usize = memory.data(32, 16);
/** Which groups of each trial have been points from the start. */
const MASKS: usize = memory.data(4, 16);
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
  for (let trial = -trials; trial <= trials; trial += 4) {
    for (let lane = 0; lane < 4; lane++) {
      const places = TRIED + lane * 16;
      if (trial + lane > trials) {
        v128.store(places, v128.load(places - 16));
        continue;
      }
      const inverse: f32 = (top + <f32>(trial + lane) * step) / reach;
      store<u8>(MASKS + lane, snapGroups(book, groups, 0, inverse, <f32>1 / inverse, places));
    }
    fitFour(book, groups, w);
    for (let lane = 0; lane < 4 && trial + lane <= trials; lane++) {
      const sumXq = load<f32>(SUMS + lane * 4);
      const sumQq = load<f32>(SUMS + lane * 4, 16);
      if (!(sumQq > 0 && sumXq * sumXq > best * sumQq)) continue;
      scale = sumXq / sumQq;
      best = scale * sumXq;
      points = load<u8>(MASKS + lane);
      v128.store(FOUND, v128.load(TRIED + lane * 16));
    }
  }
  if (scale > 0 && (again == ALL || points != everyGroup)) {
    snapGroups(book, groups, again == OFF_GRID ? points : 0, <f32>1 / scale, scale, FOUND);
    v128.store(TRIED, v128.load(FOUND));
    fitFour(book, groups, w);
    if (load<f32>(SUMS, 16) > 0) scale = load<f32>(SUMS) / load<f32>(SUMS, 16);
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
  const bytes = book.size * 4;
  storeKeys(book, MAGNITUDES, groups * book.size, inverse, KEYS);
  for (let group = 0; group < groups; group++) {
    if ((keep >> group) & 1) continue;
    const key = load<i32>(KEYS + group * 4);
    const point = nearestPoint(book, key, MAGNITUDES + group * bytes, ROOTS + group * bytes, scale, book.values);
    store<u16>(places + group * 2, point);
    if (onGrid) points |= 1 << group;
  }
  return points;
}

/** {@link SUMS} of the four trials, each in the order of the elements. */
function fitFour(book: Codebook, groups: i32, w: usize): void {
  let sumXq = f32x4.splat(0);
  let sumQq = f32x4.splat(0);
  const bytes: usize = book.size * 4;
  for (let group = 0, start: usize = 0; group < groups; group++, start += bytes) {
    const places = TRIED + group * 2;
    const a = book.values + load<u16>(places);
    const b = book.values + load<u16>(places, 16);
    const c = book.values + load<u16>(places, 32);
    const d = book.values + load<u16>(places, 48);
    for (let i: usize = 0; i < bytes; i += 16) {
      const qa = v128.load(a + i);
      const qb = v128.load(b + i);
      const qc = v128.load(c + i);
      const qd = v128.load(d + i);
      const wx = v128.load(WX + start + i);
      const weights = v128.load(w + start + i);
      sumXq = addLanes(sumXq, f32x4.mul(wx, qa), f32x4.mul(wx, qb), f32x4.mul(wx, qc), f32x4.mul(wx, qd));
      sumQq = addLanes(
        sumQq,
        f32x4.mul(f32x4.mul(weights, qa), qa),
        f32x4.mul(f32x4.mul(weights, qb), qb),
        f32x4.mul(f32x4.mul(weights, qc), qc),
        f32x4.mul(f32x4.mul(weights, qd), qd),
      );
    }
  }
  v128.store(SUMS, sumXq);
  v128.store(SUMS, sumQq, 16);
}
