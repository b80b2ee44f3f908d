import { Codebook, nearby, sumOfLanes } from './codebook';
import { nearestCodes } from './lanes';

const LARGEST: f32 = 3.4028234663852886e38;

/** Whether the last point that was looked for is that of the levels themselves. */
export let onGrid: bool = false;

/** The place of the point of a key, or of the nearest of those near it (src/search/nearest-point.ts); `values` are those of the points. */
export function nearestPoint(book: Codebook, key: i32, x: usize, weights: usize, scale: f32, values: usize): i32 {
  const entry = load<i32>(book.map + key * 4);
  onGrid = entry > 0;
  if (entry > 0) return entry - 1;
  const list = nearby(book, key, entry);
  return book.size == 8 ? leastOfEight(values, list, x, weights, scale) : leastOfFour(values, list, x, weights, scale);
}

/** The key of eight levels 0, 1, 2 in the lanes. */
export function keyOfEight(levels: v128): i32 {
  return sumOfLanes(i32x4.dot_i16x8_s(levels, i16x8(1, 3, 9, 27, 81, 243, 729, 2187)));
}

/** Stores the keys of n magnitudes, a u32 each group: of the levels whose values 2 l + 1 are nearest to `inverse · x`. */
export function storeKeys(book: Codebook, x: usize, n: i32, inverse: f32, keys: usize): void {
  const factor = f32x4.splat(inverse);
  const top = book.radix - 1;
  const eight = book.size == 8;
  const powers = eight ? i16x8(1, 3, 9, 27, 81, 243, 729, 2187) : i16x8(1, 8, 64, 512, 1, 8, 64, 512);
  for (let i = 0; i < n * 4; i += 32) {
    const levels = i16x8.narrow_i32x4_s(oddLevels(v128.load(x + i), factor, top), oddLevels(v128.load(x + i, 16), factor, top));
    const products = i32x4.dot_i16x8_s(levels, powers);
    const halves = i32x4.add(products, v128.shuffle<i32>(products, products, 1, 0, 3, 2));
    const sums = eight ? i32x4.add(halves, v128.shuffle<i32>(halves, halves, 2, 3, 0, 1)) : v128.shuffle<i32>(halves, halves, 0, 2, 0, 2);
    if (eight) {
      v128.store32_lane(keys, sums, 0);
      keys += 4;
    } else {
      v128.store64_lane(keys, sums, 0);
      keys += 8;
    }
  }
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

/** The lanes of a, of b, of c and of d, each summed in order. */
function sumsOfLanes(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  const half = f32x4.add(v128.shuffle<f32>(ab01, cd01, 0, 1, 4, 5), v128.shuffle<f32>(ab01, cd01, 2, 3, 6, 7));
  return f32x4.add(f32x4.add(half, v128.shuffle<f32>(ab23, cd23, 0, 1, 4, 5)), v128.shuffle<f32>(ab23, cd23, 2, 3, 6, 7));
}

/** Adds the lanes of a, b, c and d to sums, each in order. */
export function addLanes(sums: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  const half = f32x4.add(f32x4.add(sums, v128.shuffle<f32>(ab01, cd01, 0, 1, 4, 5)), v128.shuffle<f32>(ab01, cd01, 2, 3, 6, 7));
  return f32x4.add(f32x4.add(half, v128.shuffle<f32>(ab23, cd23, 0, 1, 4, 5)), v128.shuffle<f32>(ab23, cd23, 2, 3, 6, 7));
}

function leastOfEight(values: usize, list: usize, x: usize, weights: usize, scale: f32): i32 {
  const end = list + 4 + (load<u32>(list) << 3);
  const factor = f32x4.splat(scale);
  const xa = v128.load(x);
  const xb = v128.load(x, 16);
  const wa = v128.load(weights);
  const wb = v128.load(weights, 16);
  let least = f32x4.splat(LARGEST);
  let found = i32x4.splat(0);
  for (let at = list + 4; at < end; at += 8) {
    const a = values + load<u16>(at);
    const b = values + load<u16>(at, 2);
    const c = values + load<u16>(at, 4);
    const d = values + load<u16>(at, 6);
    const half = sumsOfLanes(errors(a, xa, wa, factor), errors(b, xa, wa, factor), errors(c, xa, wa, factor), errors(d, xa, wa, factor));
    const sum = addLanes(
      half,
      errors(a + 16, xb, wb, factor),
      errors(b + 16, xb, wb, factor),
      errors(c + 16, xb, wb, factor),
      errors(d + 16, xb, wb, factor),
    );
    found = v128.bitselect(i32x4.splat(at), found, f32x4.lt(sum, least));
    least = f32x4.pmin(least, sum);
  }
  return firstOfLeast(list, least, found);
}

function leastOfFour(values: usize, list: usize, x: usize, weights: usize, scale: f32): i32 {
  const end = list + 4 + (load<u32>(list) << 3);
  const factor = f32x4.splat(scale);
  const xa = v128.load(x);
  const wa = v128.load(weights);
  let least = f32x4.splat(LARGEST);
  let found = i32x4.splat(0);
  for (let at = list + 4; at < end; at += 8) {
    const sum = sumsOfLanes(
      errors(values + load<u16>(at), xa, wa, factor),
      errors(values + load<u16>(at, 2), xa, wa, factor),
      errors(values + load<u16>(at, 4), xa, wa, factor),
      errors(values + load<u16>(at, 6), xa, wa, factor),
    );
    found = v128.bitselect(i32x4.splat(at), found, f32x4.lt(sum, least));
    least = f32x4.pmin(least, sum);
  }
  return firstOfLeast(list, least, found);
}

/** The place of the first candidate with the least sum, of lanes and addresses of their fours; the first of all where no sum is below the largest float. */
function firstOfLeast(list: usize, least: v128, found: v128): i32 {
  let all = f32x4.pmin(least, v128.shuffle<f32>(least, least, 2, 3, 0, 1));
  all = f32x4.pmin(all, v128.shuffle<f32>(all, all, 1, 0, 3, 2));
  const addresses = i32x4.add(found, i32x4(0, 2, 4, 6));
  let first = v128.bitselect(addresses, i32x4.splat(0x7fffffff), f32x4.eq(least, all));
  first = i32x4.min_s(first, v128.shuffle<i32>(first, first, 2, 3, 0, 1));
  const address = min(i32x4.extract_lane(first, 0), i32x4.extract_lane(first, 1));
  return load<u16>(address < 8 ? list + 4 : address);
}
