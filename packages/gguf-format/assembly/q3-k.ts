import { fromHalf, toHalf } from './half';
import { interleave, nearestCodes, nearestInt, sumOfSquares, weighByImportance } from './lanes';
import { store16 } from './q4-0';
import { SCALE as DESCENT_SCALE, FOUND, searchByDescent } from './search-descent';
import { INVERSE, SCALE, searchSymmetric, symmetricCodes } from './search-symmetric';
import { packTwoBits, twoBits16 } from './two-bit-planes';

const BYTES: i32 = 110;
const LOW: i32 = 32;
const SCALES: i32 = 96;
const D: i32 = 108;

const X: usize = memory.data(16 * 16, 16);
const W: usize = memory.data(16 * 16, 16);
const WEIGHTS: usize = memory.data(256 * 4, 16);
const SUB_SCALES: usize = memory.data(64, 16);
const SUB_WEIGHTS: usize = memory.data(64, 16);
const INVERSES: usize = memory.data(64, 16);
/** Six-bit scales, a byte each. */
export const SIX_BITS: usize = memory.data(16, 16);
export const CODES: usize = memory.data(256, 16);

export function encodeQ3_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES) {
      store<u16>(blocks + D, toHalf(importance ? searchWeighted(x, importance + column * 4) : searchPlain(x)));
      roundAndPack(x, importance != 0, blocks);
    }
}

/** Writes {@link SIX_BITS} and {@link INVERSES}; returns the factor. */
function searchWeighted(x: usize, importance: usize): f32 {
  weighByImportance(x, importance, (<f32>2 * sumOfSquares(x, 256)) / 256, 256, WEIGHTS);
  for (let group = 0; group < 4; group++) {
    const at = x + group * 256;
    const weights = WEIGHTS + group * 256;
    interleave(at, at + 64, at + 128, at + 192, 16, X);
    interleave(weights, weights + 64, weights + 128, weights + 192, 16, W);
    let sum = f32x4.splat(0);
    for (let i = 0; i < 256; i += 16) sum = f32x4.add(sum, v128.load(W + i));
    searchSymmetric(X, W, 16, 4);
    v128.store(SUB_WEIGHTS + group * 16, sum);
    v128.store(SUB_SCALES + group * 16, v128.load(SCALE));
    v128.store(INVERSES + group * 16, v128.load(INVERSE));
  }
  interleave(SUB_SCALES, SUB_SCALES, SUB_SCALES, SUB_SCALES, 16, X);
  interleave(SUB_WEIGHTS, SUB_WEIGHTS, SUB_WEIGHTS, SUB_WEIGHTS, 16, W);
  searchSymmetric(X, W, 16, 32);
  const inverse = load<f32>(INVERSE);
  for (let j = 0; j < 16; j += 4) storeBytes(SIX_BITS + j, symmetricCodes(v128.load(SUB_SCALES + j * 4), inverse, 32));
  return load<f32>(SCALE);
}

/** Writes {@link SIX_BITS} and {@link CODES}; returns the factor. */
function searchPlain(x: usize): f32 {
  let largest: f32 = 0;
  let magnitude: f32 = 0;
  for (let group = 0; group < 4; group++) {
    const at = x + group * 256;
    interleave(at, at + 64, at + 128, at + 192, 16, X);
    searchByDescent(X, 4);
    v128.store(SUB_SCALES + group * 16, v128.load(DESCENT_SCALE));
    for (let i = 0; i < 16; i++)
      for (let lane = 0; lane < 4; lane++)
        store<u8>(CODES + group * 64 + lane * 16 + i, <u8>(<i32>load<f32>(FOUND + i * 16 + lane * 4) + 4));
  }
  for (let j = 0; j < 16; j++) {
    const scale = load<f32>(SUB_SCALES + j * 4);
    if (abs<f32>(scale) > magnitude) {
      magnitude = abs<f32>(scale);
      largest = scale;
    }
  }
  if (largest == 0) {
    memory.fill(SIX_BITS, 0, 16);
    return 0;
  }
  const inverse: f32 = <f32>-32 / largest;
  for (let j = 0; j < 16; j++) {
    const scale = <i32>(<i8>nearestInt(inverse * load<f32>(SUB_SCALES + j * 4)));
    store<u8>(SIX_BITS + j, max(-32, min(31, scale)) + 32);
  }
  return <f32>1 / inverse;
}

/** Four lanes to four bytes. */
function storeBytes(to: usize, lanes: v128): void {
  const narrow = i16x8.narrow_i32x4_s(lanes, lanes);
  v128.store32_lane(to, i8x16.narrow_i16x8_s(narrow, narrow), 0);
}

/** Takes the codes anew against what the decoder will read, where its scale is not zero, and writes all but the factor. */
function roundAndPack(x: usize, searched: bool, block: usize): void {
  const d = fromHalf(load<u16>(block + D));
  for (let j = 0; j < 16; j++) {
    const scale = d * <f32>(<i32>load<u8>(SIX_BITS + j) - 32);
    const divisor = f32x4.splat(scale);
    const inverse = load<f32>(INVERSES + j * 4);
    for (let i = 0; i < 16; i += 4) {
      const value = v128.load(x + j * 64 + i * 4);
      if (scale != 0) storeBytes(CODES + j * 16 + i, i32x4.add(nearestCodes(f32x4.div(value, divisor), -4, 3), i32x4.splat(4)));
      else if (searched) storeBytes(CODES + j * 16 + i, symmetricCodes(value, inverse, 4));
    }
  }
  pack(block);
}

/** Writes {@link SIX_BITS} and {@link CODES}. */
export function pack(block: usize): void {
  for (let l = 0; l < 32; l += 16) {
    let bits = i8x16.splat(0);
    for (let j = 0; j < 8; j++) bits = v128.or(bits, i8x16.shl(i8x16.shr_u(v128.load(CODES + j * 32 + l), 2), j));
    v128.store(block + l, bits);
  }
  for (let i = 0; i < 256; i += 16) v128.store(CODES + i, v128.and(v128.load(CODES + i), i8x16.splat(3)));
  packTwoBits(CODES, block + LOW);
  packTwoBits(CODES + 128, block + LOW + 32);
  const low = load<u64>(SIX_BITS);
  const high = load<u64>(SIX_BITS, 8);
  store<u64>(block + SCALES, (low & 0x0f0f0f0f0f0f0f0f) | ((high & 0x0f0f0f0f0f0f0f0f) << 4));
  const top = (<u32>low & 0x30303030) >> 4;
  const second = (<u32>(low >> 32) & 0x30303030) >> 2;
  store<u32>(block + SCALES, top | second | (<u32>high & 0x30303030) | ((<u32>(high >> 32) & 0x30303030) << 2), 8);
}

/** Sixteen six-bit scales of a block. */
export function unpackScales(from: usize): v128 {
  const nibbles = v128.load64_zero(from);
  const low = v128.and(v128.shuffle<u64>(nibbles, i8x16.shr_u(nibbles, 4), 0, 2), i8x16.splat(15));
  const tops = load<u32>(from, 8);
  let pairs = i32x4.splat(tops);
  pairs = i32x4.replace_lane(pairs, 1, tops >> 2);
  pairs = i32x4.replace_lane(pairs, 2, tops >> 4);
  pairs = i32x4.replace_lane(pairs, 3, tops >> 6);
  return v128.or(low, i8x16.shl(v128.and(pairs, i8x16.splat(3)), 4));
}

export function decodeQ3_K(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks + D));
    v128.store(SIX_BITS, unpackScales(blocks + SCALES));
    for (let j = 0; j < 16; j++, x += 64) {
      const high = v128.and(i8x16.shr_u(v128.load(blocks + (j & 1) * 16), j >> 1), i8x16.splat(1));
      const codes = i8x16.sub(v128.or(twoBits16(blocks + LOW, j), i8x16.shl(high, 2)), i8x16.splat(4));
      store16(codes, f32x4.splat(d * <f32>(<i32>load<u8>(SIX_BITS + j) - 32)), x);
    }
  }
}
