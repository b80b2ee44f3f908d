import { interleave, weighByImportance } from './lanes';
import { affineCodes, BASE, INVERSE, MIN, SCALE, searchAffine } from './search-affine';

/** Results for one block of 32: codes, a byte each, the scale and the minimum. */
export const CODES: usize = memory.data(32, 16);
export let scale: f32 = 0;
export let minimum: f32 = 0;

/** Of equally small or large zeros the first in order counts, as in a loop over single elements. */
function firstZero(x: usize): f32 {
  const zero = f32x4.splat(0);
  for (let i = 0; i < 128; i += 16) {
    const found = i32x4.bitmask(f32x4.eq(v128.load(x + i), zero));
    if (found) return load<f32>(x + i + ctz(found) * 4);
  }
  return 0;
}

/** One block without importance. */
export function roundBlock(x: usize, levels: i32): void {
  let low = f32x4.splat(f32.MAX_VALUE);
  let high = f32x4.splat(-f32.MAX_VALUE);
  for (let i = 0; i < 128; i += 16) {
    const value = v128.load(x + i);
    low = f32x4.pmin(low, value);
    high = f32x4.pmax(high, value);
  }
  low = f32x4.pmin(low, v128.shuffle<f32>(low, low, 2, 3, 0, 1));
  low = f32x4.pmin(low, v128.shuffle<f32>(low, low, 1, 0, 3, 2));
  high = f32x4.pmax(high, v128.shuffle<f32>(high, high, 2, 3, 0, 1));
  high = f32x4.pmax(high, v128.shuffle<f32>(high, high, 1, 0, 3, 2));
  minimum = f32x4.extract_lane(low, 0);
  if (minimum == 0) minimum = firstZero(x);
  const most = f32x4.extract_lane(high, 0);
  scale = most == minimum ? 0 : (most - minimum) / <f32>levels;
  const factor: f32 = scale != 0 ? <f32>1 / scale : 0;
  // With a scale so small nothing is left but infinite numbers and NaN, which count as 0.
  if (factor == f32.POSITIVE_INFINITY) {
    memory.fill(CODES, 0, 32);
    return;
  }
  const inverse = f32x4.splat(factor);
  const base = f32x4.splat(minimum);
  const half = f32x4.splat(0.5);
  for (let i = 0; i < 32; i += 16) {
    const at = x + i * 4;
    const a = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at), base), inverse), half));
    const b = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 16), base), inverse), half));
    const c = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 32), base), inverse), half));
    const d = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 48), base), inverse), half));
    const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    v128.store(CODES + i, i8x16.min_s(bytes, i8x16.splat(<i8>levels)));
  }
}

const X: usize = memory.data(32 * 16, 16);
const W: usize = memory.data(32 * 16, 16);
/** Weights of four blocks. */
const WEIGHTS: usize = memory.data(4 * 128, 16);

/** Searches the grids of up to four neighbouring blocks with importance; the last block stands in for missing ones. */
export function searchBlocks(x: usize, importance: usize, sigma2: f32, count: i32, levels: i32): void {
  weighByImportance(x, importance, sigma2, 32 * count, WEIGHTS);
  const b1 = min(1, count - 1) * 128;
  const b2 = min(2, count - 1) * 128;
  const b3 = min(3, count - 1) * 128;
  interleave(x, x + b1, x + b2, x + b3, 32, X);
  interleave(WEIGHTS, WEIGHTS + b1, WEIGHTS + b2, WEIGHTS + b3, 32, W);
  searchAffine(X, W, 32, levels, -0.9, 0.05, 36, false);
}

/** Block `index` of the last {@link searchBlocks}, whose elements are at `x`. */
export function searchedBlock(x: usize, index: i32, levels: i32): void {
  scale = load<f32>(SCALE + index * 4);
  minimum = -load<f32>(MIN + index * 4);
  const inverse = load<f32>(INVERSE + index * 4);
  if (inverse == 0) {
    memory.fill(CODES, 0, 32);
    return;
  }
  const factor = f32x4.splat(inverse);
  const base = f32x4.splat(load<f32>(BASE + index * 4));
  for (let i = 0; i < 32; i += 8) {
    const narrow = i16x8.narrow_i32x4_s(
      affineCodes(v128.load(x + i * 4), factor, base, levels),
      affineCodes(v128.load(x + i * 4, 16), factor, base, levels),
    );
    v128.store64_lane(CODES + i, i8x16.narrow_i16x8_s(narrow, narrow), 0);
  }
}
