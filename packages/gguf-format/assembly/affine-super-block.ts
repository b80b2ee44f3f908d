import { fromHalf, toHalf } from './half';
import { interleave, nearestCodes, nearestInt, sumOfSquares, weighByImportance } from './lanes';
import { affineCodes, BASE, INVERSE, MIN, SCALE, searchAffine } from './search-affine';
import { searchPositive } from './search-positive';

const X: usize = memory.data(32 * 16, 16);
const W: usize = memory.data(32 * 16, 16);
const WEIGHTS: usize = memory.data(256 * 4, 16);
const SUB_SCALES: usize = memory.data(32, 16);
const SUB_MINS: usize = memory.data(32, 16);
const SUB_WEIGHTS: usize = memory.data(32, 16);
const INVERSES: usize = memory.data(32, 16);
const BASES: usize = memory.data(32, 16);

/** Results of {@link encodeAffineSuperBlock}: 256 codes, a byte each, the 12 bytes of six-bit scales and minima, and the halves d and dmin. */
export const CODES: usize = memory.data(256, 16);
export const SCALES: usize = memory.data(8, 16);
export const MINS: usize = memory.data(8, 16);
export const PAIRS: usize = memory.data(12, 16);
export const FACTORS: usize = memory.data(4, 16);

/** `√(Σ x² / 32) + |x|` for the four sub-blocks in {@link X}. */
function weighByMagnitude(): void {
  let sum = f32x4.splat(0);
  for (let i = 0; i < 512; i += 16) {
    const value = v128.load(X + i);
    sum = f32x4.add(sum, f32x4.mul(value, value));
  }
  const level = f32x4.sqrt(f32x4.div(sum, f32x4.splat(32)));
  for (let i = 0; i < 512; i += 16) v128.store(W + i, f32x4.add(level, f32x4.abs(v128.load(X + i))));
}

function sumWeights(): v128 {
  let sum = f32x4.splat(0);
  for (let i = 0; i < 512; i += 16) sum = f32x4.add(sum, v128.load(W + i));
  return sum;
}

/** Six-bit codes against the largest of 8 values; returns the factor's pattern. */
function plainSixBits(values: usize, codes: usize): u32 {
  let largest: f32 = 0;
  for (let j = 0; j < 8; j++) {
    const value = load<f32>(values + j * 4);
    if (value > largest) largest = value;
  }
  const inverse: f32 = largest > 0 ? <f32>63 / largest : 0;
  for (let j = 0; j < 8; j++) store<u8>(codes + j, min(63, nearestInt(inverse * load<f32>(values + j * 4)) & 255));
  return toHalf(largest / 63);
}

/** Searches the 8 sub-blocks of 256 elements, four at a time; see src/blocks/affine-super-block.ts. */
export function encodeAffineSuperBlock(x: usize, importance: usize, levels: i32, plainFirst: f32, plainStep: f32, plainCount: i32): void {
  if (importance) weighByImportance(x, importance, (<f32>2 * sumOfSquares(x, 256)) / 256, 256, WEIGHTS);
  for (let group = 0; group < 2; group++) {
    const at = x + group * 512;
    const to = group * 16;
    interleave(at, at + 128, at + 256, at + 384, 32, X);
    if (importance) {
      const weights = WEIGHTS + group * 512;
      interleave(weights, weights + 128, weights + 256, weights + 384, 32, W);
      v128.store(SUB_WEIGHTS + to, sumWeights());
      searchAffine(X, W, 32, levels, -0.9, 0.05, 36, false);
    } else {
      weighByMagnitude();
      searchAffine(X, W, 32, levels, plainFirst, plainStep, plainCount, false);
    }
    v128.store(SUB_SCALES + to, v128.load(SCALE));
    v128.store(SUB_MINS + to, v128.load(MIN));
    v128.store(INVERSES + to, v128.load(INVERSE));
    v128.store(BASES + to, v128.load(BASE));
  }
  const d = importance ? toHalf(searchPositive(SUB_SCALES, SUB_WEIGHTS, 8, 63, SCALES)) : plainSixBits(SUB_SCALES, SCALES);
  const dmin = importance ? toHalf(searchPositive(SUB_MINS, SUB_WEIGHTS, 8, 63, MINS)) : plainSixBits(SUB_MINS, MINS);
  // Codes that the search left out of range are clamped by ggml in Q5_K, but not in Q4_K.
  if (importance && levels == 31) {
    v128.store64_lane(SCALES, i8x16.min_u(v128.load64_zero(SCALES), i8x16.splat(63)), 0);
    v128.store64_lane(MINS, i8x16.min_u(v128.load64_zero(MINS), i8x16.splat(63)), 0);
  }
  packPairs(PAIRS);
  unpackPairs(PAIRS);
  store<u16>(FACTORS, d);
  store<u16>(FACTORS, dmin, 2);
  for (let j = 0; j < 8; j++) roundSubBlock(x + j * 128, j, fromHalf(d), fromHalf(dmin), levels);
}

/** Codes against what the decoder will read; where its scale is zero, those of the search. */
function roundSubBlock(x: usize, j: i32, d: f32, dmin: f32, levels: i32): void {
  const scale: f32 = d * <f32>load<u8>(PAIR_SCALES + j);
  const min: f32 = dmin * <f32>load<u8>(PAIR_MINS + j);
  const divisor = f32x4.splat(scale);
  const shift = f32x4.splat(min);
  const inverse = load<f32>(INVERSES + j * 4);
  for (let i = 0; i < 32; i += 8) {
    const at = x + i * 4;
    const a = v128.load(at);
    const b = v128.load(at, 16);
    let codesA: v128;
    let codesB: v128;
    if (scale != 0) {
      codesA = nearestCodes(f32x4.div(f32x4.add(a, shift), divisor), 0, levels);
      codesB = nearestCodes(f32x4.div(f32x4.add(b, shift), divisor), 0, levels);
    } else if (inverse == 0) {
      codesA = codesB = i32x4.splat(0);
    } else {
      const base = f32x4.splat(load<f32>(BASES + j * 4));
      codesA = affineCodes(a, f32x4.splat(inverse), base, levels);
      codesB = affineCodes(b, f32x4.splat(inverse), base, levels);
    }
    const narrow = i16x8.narrow_i32x4_s(codesA, codesB);
    v128.store64_lane(CODES + j * 32 + i, i8x16.narrow_i16x8_s(narrow, narrow), 0);
  }
}

/** Packs the 8 pairs of six-bit numbers into 12 bytes; see src/blocks/six-bit-pairs.ts. */
export function packPairs(to: usize): void {
  const scalesLow = load<u32>(SCALES);
  const scalesHigh = load<u32>(SCALES, 4);
  const minsLow = load<u32>(MINS);
  const minsHigh = load<u32>(MINS, 4);
  store<u32>(to, scalesLow | ((scalesHigh & 0x30303030) << 2));
  store<u32>(to, minsLow | ((minsHigh & 0x30303030) << 2), 4);
  store<u32>(to, (scalesHigh & 0x0f0f0f0f) | ((minsHigh & 0x0f0f0f0f) << 4), 8);
}

/** What {@link unpackPairs} reads. */
export const PAIR_SCALES: usize = memory.data(8, 16);
export const PAIR_MINS: usize = memory.data(8, 16);

export function unpackPairs(from: usize): void {
  const a = load<u32>(from);
  const b = load<u32>(from, 4);
  const c = load<u32>(from, 8);
  store<u32>(PAIR_SCALES, a & 0x3f3f3f3f);
  store<u32>(PAIR_SCALES, (c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030), 4);
  store<u32>(PAIR_MINS, b & 0x3f3f3f3f);
  store<u32>(PAIR_MINS, ((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030), 4);
}
