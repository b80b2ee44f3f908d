import { fromHalf, toHalf } from './half';
import { interleave, nearestCodes, nearestInt, sumOfSquares, weighByImportance } from './lanes';
import { affine16 } from './q4-k';
import { affineCodes, BASE, INVERSE, MIN, SCALE, searchAffine } from './search-affine';
import { searchPositive } from './search-positive';
import { packTwoBits, twoBits16 } from './two-bit-planes';

const BYTES: i32 = 84;
const D: i32 = 80;

const X: usize = memory.data(16 * 16, 16);
const W: usize = memory.data(16 * 16, 16);
const WEIGHTS: usize = memory.data(256 * 4, 16);
const SUB_SCALES: usize = memory.data(64, 16);
const SUB_MINS: usize = memory.data(64, 16);
const SUB_WEIGHTS: usize = memory.data(64, 16);
const INVERSES: usize = memory.data(64, 16);
const BASES: usize = memory.data(64, 16);
const SCALES: usize = memory.data(16, 16);
const MINS: usize = memory.data(16, 16);
const CODES: usize = memory.data(256, 16);

export function encodeQ2_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  if (importance) weighByImportance(x, importance, sumOfSquares(x, 256) / 256, 256, WEIGHTS);
  for (let group = 0; group < 4; group++) {
    const at = x + group * 256;
    const to = group * 16;
    interleave(at, at + 64, at + 128, at + 192, 16, X);
    if (importance) {
      const weights = WEIGHTS + group * 256;
      interleave(weights, weights + 64, weights + 128, weights + 192, 16, W);
      let sum = f32x4.splat(0);
      for (let i = 0; i < 256; i += 16) sum = f32x4.add(sum, v128.load(W + i));
      v128.store(SUB_WEIGHTS + to, sum);
      searchAffine(X, W, 16, 3, -0.9, 0.05, 36, false);
    } else {
      for (let i = 0; i < 256; i += 16) v128.store(W + i, f32x4.abs(v128.load(X + i)));
      searchAffine(X, W, 16, 3, -0.5, 0.1, 15, true);
    }
    v128.store(SUB_SCALES + to, v128.load(SCALE));
    v128.store(SUB_MINS + to, v128.load(MIN));
    v128.store(INVERSES + to, v128.load(INVERSE));
    v128.store(BASES + to, v128.load(BASE));
  }
  const d = toHalf(importance ? searchPositive(SUB_SCALES, SUB_WEIGHTS, 16, 15, SCALES) : plainFourBits(SUB_SCALES, SCALES));
  const dmin = toHalf(importance ? searchPositive(SUB_MINS, SUB_WEIGHTS, 16, 15, MINS) : plainFourBits(SUB_MINS, MINS));
  store<u16>(block + D, d);
  store<u16>(block + D, dmin, 2);
  v128.store(block, v128.or(v128.load(SCALES), i8x16.shl(v128.load(MINS), 4)));
  for (let j = 0; j < 16; j++) {
    const pair = load<u8>(block + j);
    roundSubBlock(x + j * 64, j, fromHalf(d) * <f32>(pair & 15), fromHalf(dmin) * <f32>(pair >> 4));
  }
  packTwoBits(CODES, block + 16);
  packTwoBits(CODES + 128, block + 48);
}

/** Codes against the largest of 16 values, not clamped; returns the factor. */
function plainFourBits(values: usize, codes: usize): f32 {
  let largest: f32 = 0;
  for (let j = 0; j < 16; j++) {
    const value = load<f32>(values + j * 4);
    if (value > largest) largest = value;
  }
  if (largest == 0) {
    memory.fill(codes, 0, 16);
    return 0;
  }
  const inverse: f32 = <f32>15 / largest;
  for (let j = 0; j < 16; j++) store<u8>(codes + j, nearestInt(inverse * load<f32>(values + j * 4)));
  return largest / 15;
}

/** Codes against what the decoder will read; where its scale is zero, those of the search. */
function roundSubBlock(x: usize, j: i32, scale: f32, min: f32): void {
  const divisor = f32x4.splat(scale);
  const shift = f32x4.splat(min);
  const inverse = load<f32>(INVERSES + j * 4);
  const factor = f32x4.splat(inverse);
  const base = f32x4.splat(load<f32>(BASES + j * 4));
  for (let i = 0; i < 16; i += 8) {
    const a = v128.load(x + i * 4);
    const b = v128.load(x + i * 4, 16);
    let narrow = i16x8.splat(0);
    if (scale != 0)
      narrow = i16x8.narrow_i32x4_s(
        nearestCodes(f32x4.div(f32x4.add(a, shift), divisor), 0, 3),
        nearestCodes(f32x4.div(f32x4.add(b, shift), divisor), 0, 3),
      );
    else if (inverse != 0) narrow = i16x8.narrow_i32x4_s(affineCodes(a, factor, base, 3), affineCodes(b, factor, base, 3));
    v128.store64_lane(CODES + j * 16 + i, i8x16.narrow_i16x8_s(narrow, narrow), 0);
  }
}

export function decodeQ2_K(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks + D));
    const dmin = fromHalf(load<u16>(blocks + D, 2));
    for (let j = 0; j < 16; j++, x += 64) {
      const pair = load<u8>(blocks + j);
      affine16(twoBits16(blocks + 16, j), f32x4.splat(d * <f32>(pair & 15)), f32x4.splat(dmin * <f32>(pair >> 4)), x);
    }
  }
}
