import { Codebook } from './codebook';
import { keyOfEight, nearestPoint, onGrid } from './nearest-point';

/** Orders and results of the searches of IQ1: what {@link sortAscending} gives, levels of the best split. */
export const ORDER: usize = memory.data(32, 16);
const LEVELS: usize = memory.data(32, 16);
/** Places of points. */
export const POINTS: usize = memory.data(8, 16);

/** The best split so far: score, scale, places of the two cuts, shift (src/search/ternary-split.ts); shift −1 before there is one. */
export let best: f32 = 0;
export let splitScale: f32 = 0;
export let splitShift: i32 = 0;
let splitLow: i32 = 0;
let splitHigh: i32 = 0;

export function beginSplits(): void {
  best = -3.4028234663852886e38;
  splitScale = 0;
  splitShift = -1;
}

/** Takes a split with sums `Σ w x q` and `Σ w q²` if it is better. */
export function trySplit(low: i32, high: i32, shift: i32, sumXq: f32, sumQq: f32): void {
  if (!(sumQq > 0 && sumXq * sumXq > best * sumQq)) return;
  splitScale = sumXq / sumQq;
  best = splitScale * sumXq;
  splitLow = low;
  splitHigh = high;
  splitShift = shift;
}

/** Whether a split was found; gives the n elements their levels, turned round where the scale was negative. */
export function takeSplit(n: i32): bool {
  if (splitShift < 0 || splitScale != splitScale) return false;
  const turned = splitScale < 0;
  for (let place = 0; place < n; place++) {
    const level = place < splitLow ? 0 : place < splitHigh ? 1 : 2;
    store<u8>(LEVELS + load<u8>(ORDER + place), turned ? 2 - level : level);
  }
  splitScale = abs<f32>(splitScale);
  if (turned) splitShift = 3 - splitShift;
  return true;
}

/** Places of n = 16 or 32 values in ascending order to {@link ORDER}; equal ones keep theirs. */
export function sortAscending(x: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    const value = f32x4.splat(load<f32>(x + i * 4));
    const own = (i & ~3) * 4;
    let before = i32x4.splat(0);
    for (let j = 0; j < own; j += 16) before = i32x4.sub(before, f32x4.le(v128.load(x + j), value));
    const near = v128.load(x + own);
    const earlier = v128.and(f32x4.eq(near, value), i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(i & 3)));
    before = i32x4.sub(before, v128.or(f32x4.lt(near, value), earlier));
    for (let j = own + 16; j < n * 4; j += 16) before = i32x4.sub(before, f32x4.lt(v128.load(x + j), value));
    const pairs = i32x4.add(before, v128.shuffle<i32>(before, before, 2, 3, 0, 1));
    store<u8>(ORDER + i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 1), i);
  }
}

/** Values of the points for a half of a sub-block with this shift. */
export function valuesOf(book: Codebook, shift: i32, second: bool): usize {
  return (shift & (second ? 1 : 2)) == 0 ? book.values : book.values + book.count * 32;
}

/** Rounds the split of n elements to {@link POINTS}; fits the scale again where that changed anything, and returns it. */
export function snapSplit(book: Codebook, x: usize, w: usize, n: i32): f32 {
  let moved = false;
  for (let i = 0; i < n; i += 8) {
    const key = keyOfEight(i16x8.extend_low_i8x16_u(v128.load64_zero(LEVELS + i)));
    const point = nearestPoint(book, key, x + i * 4, w + i * 4, splitScale, valuesOf(book, splitShift, i >= n >> 1));
    store<u16>(POINTS + (i >> 2), point);
    if (!onGrid) moved = true;
  }
  if (!moved) return splitScale;
  let sumXq: f32 = 0;
  let sumQq: f32 = 0;
  for (let i = 0; i < n; i++) {
    const values = valuesOf(book, splitShift, i >= n >> 1) + load<u16>(POINTS + ((i >> 3) << 1));
    const q = load<f32>(values + ((i & 7) << 2));
    const wq: f32 = load<f32>(w + i * 4) * q;
    sumXq += wq * load<f32>(x + i * 4);
    sumQq += wq * q;
  }
  return sumXq > 0 && sumQq > 0 ? sumXq / sumQq : splitScale;
}

export function largestMagnitude(x: usize, n: i32): f32 {
  let largest: f32 = 0;
  for (let i = 0; i < n; i++) {
    const size = abs<f32>(load<f32>(x + i * 4));
    largest = largest > size ? largest : size;
  }
  return largest;
}

/** Eight elements `factor · (level − 1 ± ⅛)`. */
export function storeTernary(book: Codebook, point: u32, down: bool, factor: f32, x: usize): void {
  const values = book.values + ((down ? book.count + point : point) << 5);
  v128.store(x, f32x4.mul(f32x4.splat(factor), v128.load(values)));
  v128.store(x, f32x4.mul(f32x4.splat(factor), v128.load(values, 16)), 16);
}
