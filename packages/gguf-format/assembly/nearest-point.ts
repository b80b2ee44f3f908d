import { Codebook, nearby, sumOfLanes } from './codebook';
import { nearestCodes } from './lanes';

const LARGEST: f32 = 3.4028234663852886e38;

/** Whether the last call of {@link snapEight}, {@link pointOfEight} or {@link snapFour} met a point without looking near it. */
export let onGrid: bool = false;

/** The place of the point for eight magnitudes and values 1, 3, 5 (src/search/nearest-point.ts). */
export function snapEight(book: Codebook, x: usize, weights: usize, inverse: f32, scale: f32): i32 {
  const factor = f32x4.splat(inverse);
  const levels = i16x8.narrow_i32x4_s(oddLevels(v128.load(x), factor, 2), oddLevels(v128.load(x, 16), factor, 2));
  return pointOfEight(book, levels, x, weights, scale, book.values);
}

/** The place of the point for eight levels 0, 1, 2 in the lanes; `values` are those of the points. */
export function pointOfEight(book: Codebook, levels: v128, x: usize, weights: usize, scale: f32, values: usize): i32 {
  const key = sumOfLanes(i32x4.dot_i16x8_s(levels, i16x8(1, 3, 9, 27, 81, 243, 729, 2187)));
  const entry = load<i32>(book.map + key * 4);
  onGrid = entry > 0;
  return entry > 0 ? entry - 1 : leastOfEight(values, nearby(book, key), x, weights, scale);
}

/** The place of the point for four magnitudes and values 1, 3, … 15. */
export function snapFour(book: Codebook, x: usize, weights: usize, inverse: f32, scale: f32): i32 {
  const levels = oddLevels(v128.load(x), f32x4.splat(inverse), 7);
  const key = sumOfLanes(i32x4.mul(levels, i32x4(1, 8, 64, 512)));
  const entry = load<i32>(book.map + key * 4);
  onGrid = entry > 0;
  return entry > 0 ? entry - 1 : leastOfFour(book.values, nearby(book, key), x, weights, scale);
}

/** Levels whose values 2 l + 1 are nearest to `inverse · x`. */
function oddLevels(x: v128, inverse: v128, top: i32): v128 {
  return nearestCodes(f32x4.mul(f32x4.splat(0.5), f32x4.sub(f32x4.mul(inverse, x), f32x4.splat(1))), 0, top);
}

/** `w (scale · value − x)²` of four elements. */
function errors(values: usize, x: v128, weights: v128, scale: v128): v128 {
  const difference = f32x4.sub(f32x4.mul(scale, v128.load(values)), x);
  return f32x4.mul(f32x4.mul(weights, difference), difference);
}

/** Adds the four lanes of a, b, c and d to the lanes of a sum, each in order. */
function addLanes(sum: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  const half = f32x4.add(f32x4.add(sum, v128.shuffle<f32>(ab01, cd01, 0, 1, 4, 5)), v128.shuffle<f32>(ab01, cd01, 2, 3, 6, 7));
  return f32x4.add(f32x4.add(half, v128.shuffle<f32>(ab23, cd23, 0, 1, 4, 5)), v128.shuffle<f32>(ab23, cd23, 2, 3, 6, 7));
}

function leastOfEight(values: usize, list: usize, x: usize, weights: usize, scale: f32): i32 {
  const fours = load<u32>(list);
  const factor = f32x4.splat(scale);
  const xa = v128.load(x);
  const xb = v128.load(x, 16);
  const wa = v128.load(weights);
  const wb = v128.load(weights, 16);
  let least = f32x4.splat(LARGEST);
  let found = i32x4.splat(0);
  for (let four: u32 = 0, at = list + 4; four < fours; four++, at += 8) {
    const a = values + load<u16>(at);
    const b = values + load<u16>(at, 2);
    const c = values + load<u16>(at, 4);
    const d = values + load<u16>(at, 6);
    const sum = addLanes(
      f32x4.splat(0),
      errors(a, xa, wa, factor),
      errors(b, xa, wa, factor),
      errors(c, xa, wa, factor),
      errors(d, xa, wa, factor),
    );
    const all = addLanes(
      sum,
      errors(a + 16, xb, wb, factor),
      errors(b + 16, xb, wb, factor),
      errors(c + 16, xb, wb, factor),
      errors(d + 16, xb, wb, factor),
    );
    found = v128.bitselect(i32x4.splat(four), found, f32x4.lt(all, least));
    least = f32x4.pmin(least, all);
  }
  return firstOfLeast(list, least, found);
}

function leastOfFour(values: usize, list: usize, x: usize, weights: usize, scale: f32): i32 {
  const fours = load<u32>(list);
  const factor = f32x4.splat(scale);
  const xa = v128.load(x);
  const wa = v128.load(weights);
  let least = f32x4.splat(LARGEST);
  let found = i32x4.splat(0);
  for (let four: u32 = 0, at = list + 4; four < fours; four++, at += 8) {
    const sum = addLanes(
      f32x4.splat(0),
      errors(values + load<u16>(at), xa, wa, factor),
      errors(values + load<u16>(at, 2), xa, wa, factor),
      errors(values + load<u16>(at, 4), xa, wa, factor),
      errors(values + load<u16>(at, 6), xa, wa, factor),
    );
    found = v128.bitselect(i32x4.splat(four), found, f32x4.lt(sum, least));
    least = f32x4.pmin(least, sum);
  }
  return firstOfLeast(list, least, found);
}

/** The place of the first candidate with the least sum; the first of all where no sum is below the largest float. */
function firstOfLeast(list: usize, least: v128, found: v128): i32 {
  let all = f32x4.pmin(least, v128.shuffle<f32>(least, least, 2, 3, 0, 1));
  all = f32x4.pmin(all, v128.shuffle<f32>(all, all, 1, 0, 3, 2));
  const candidates = i32x4.add(i32x4.shl(found, 2), i32x4(0, 1, 2, 3));
  let first = v128.bitselect(candidates, i32x4.splat(0x7fffffff), f32x4.eq(least, all));
  first = i32x4.min_s(first, v128.shuffle<i32>(first, first, 2, 3, 0, 1));
  const candidate = min(i32x4.extract_lane(first, 0), i32x4.extract_lane(first, 1));
  return load<u16>(list + 4 + candidate * 2);
}
