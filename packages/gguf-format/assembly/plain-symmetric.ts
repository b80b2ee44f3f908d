import { interleave, sumOfSquares, weighByImportance } from './lanes';
import { truncated } from './q8-0';
import { INVERSE, SCALE, searchSymmetric, symmetricCodes } from './search-symmetric';

/** Codes of one block of 32, a byte each. */
export const CODES: usize = memory.data(32, 16);

/** The element of largest magnitude with its sign, the first of equal ones; +0 when all are zero. What is not a number is passed over. */
function signedLargest(x: usize): f32 {
  let high = f32x4.splat(0);
  let low = f32x4.splat(0);
  for (let i = 0; i < 128; i += 64) {
    const a = v128.load(x + i);
    const b = v128.load(x + i, 16);
    const c = v128.load(x + i, 32);
    const d = v128.load(x + i, 48);
    high = f32x4.pmax(f32x4.pmax(f32x4.pmax(f32x4.pmax(high, a), b), c), d);
    low = f32x4.pmin(f32x4.pmin(f32x4.pmin(f32x4.pmin(low, a), b), c), d);
  }
  const fall = f32x4.neg(low);
  let most = f32x4.pmax(v128.shuffle<f32>(high, fall, 0, 1, 4, 5), v128.shuffle<f32>(high, fall, 2, 3, 6, 7));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  const above = f32x4.extract_lane(most, 0);
  const below = f32x4.extract_lane(most, 2);
  if (above != below) return above > below ? above : -below;
  return above == 0 ? 0 : firstOf(x, above);
}

/** The first of 32 elements of this magnitude. */
function firstOf(x: usize, magnitude: f32): f32 {
  const wanted = f32x4.splat(magnitude);
  for (let i = 0; i < 128; i += 16) {
    const found = i32x4.bitmask(f32x4.eq(f32x4.abs(v128.load(x + i)), wanted));
    if (found) return load<f32>(x + i + ctz(found) * 4);
  }
  return 0;
}

/** Whole parts of what is not negative and small; 0 for what is not a number. */
function smallWhole(value: v128): v128 {
  const whole = f32x4.trunc(f32x4.pmax(f32x4.splat(0), value));
  // 2^23, whose mantissa then holds the number.
  return v128.xor(f32x4.add(whole, f32x4.splat(8388608)), f32x4.splat(8388608));
}

/** One block without importance: writes {@link CODES}, returns the scale. */
export function roundBlock(x: usize, levels: i32): f32 {
  const scale: f32 = signedLargest(x) / <f32>-levels;
  const inverse: f32 = scale != 0 ? <f32>1 / scale : 0;
  const shift = f32x4.splat(<f32>levels + 0.5);
  const most = i8x16.splat(<i8>(2 * levels - 1));
  // With both of them finite no code is beyond 2 · levels.
  const plain = abs(scale) < Infinity && abs(inverse) < Infinity;
  const factor = f32x4.splat(inverse);
  for (let i = 0; i < 32; i += 16) {
    const at = x + i * 4;
    const a = f32x4.add(f32x4.mul(v128.load(at), factor), shift);
    const b = f32x4.add(f32x4.mul(v128.load(at, 16), factor), shift);
    const c = f32x4.add(f32x4.mul(v128.load(at, 32), factor), shift);
    const d = f32x4.add(f32x4.mul(v128.load(at, 48), factor), shift);
    const ab = plain ? i16x8.narrow_i32x4_s(smallWhole(a), smallWhole(b)) : i16x8.narrow_i32x4_s(truncated(a), truncated(b));
    const cd = plain ? i16x8.narrow_i32x4_s(smallWhole(c), smallWhole(d)) : i16x8.narrow_i32x4_s(truncated(c), truncated(d));
    v128.store(CODES + i, i8x16.min_s(i8x16.narrow_i16x8_s(ab, cd), most));
  }
  return scale;
}

const X: usize = memory.data(32 * 16, 16);
const W: usize = memory.data(32 * 16, 16);
/** Weights of four blocks. */
const WEIGHTS: usize = memory.data(4 * 128, 16);
const SCALES: usize = memory.data(16, 16);
const INVERSES: usize = memory.data(16, 16);

export function rowSigma(x: usize, columns: i32): f32 {
  return sumOfSquares(x, columns) / <f32>columns;
}

/** Searches the scales of up to four neighbouring blocks with importance; the last block stands in for missing ones. */
export function searchBlocks(x: usize, importance: usize, sigma2: f32, count: i32, levels: i32): void {
  weighByImportance(x, importance, sigma2, 32 * count, WEIGHTS);
  const b1 = min(1, count - 1) * 128;
  const b2 = min(2, count - 1) * 128;
  const b3 = min(3, count - 1) * 128;
  interleave(x, x + b1, x + b2, x + b3, 32, X);
  interleave(WEIGHTS, WEIGHTS + b1, WEIGHTS + b2, WEIGHTS + b3, 32, W);
  searchSymmetric(X, W, 32, levels);
  v128.store(SCALES, v128.load(SCALE));
  v128.store(INVERSES, v128.load(INVERSE));
}

/** Block `index` of the last {@link searchBlocks}, whose elements are at `x`: writes {@link CODES}, returns the scale. */
export function searchedBlock(x: usize, index: i32, levels: i32): f32 {
  const inverse = load<f32>(INVERSES + index * 4);
  for (let i = 0; i < 32; i += 16) {
    const at = x + i * 4;
    const ab = i16x8.narrow_i32x4_s(symmetricCodes(v128.load(at), inverse, levels), symmetricCodes(v128.load(at, 16), inverse, levels));
    const cd = i16x8.narrow_i32x4_s(symmetricCodes(v128.load(at, 32), inverse, levels), symmetricCodes(v128.load(at, 48), inverse, levels));
    v128.store(CODES + i, i8x16.narrow_i16x8_s(ab, cd));
  }
  return load<f32>(SCALES + index * 4);
}
