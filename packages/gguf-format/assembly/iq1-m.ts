import { bookIQ1, Codebook } from './codebook';
import { codeScales, SCALE_CODES, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import {
  beginSplits,
  best,
  largestMagnitude,
  ORDER,
  POINTS,
  snapSplit,
  sortAscending,
  splitShift,
  storeTernary,
  takeSplit,
  trySplit,
  valuesOf,
} from './iq1';

const BYTES: i32 = 56;
const HIGH: i32 = 32;
const SCALE_WORDS: i32 = 48;
const ZERO_BELOW: f32 = 1e-7;
/** For each of 16 ascending values and each level, `w q x` and `w q²` with the four shifts in the lanes. */
const TERMS_XQ: usize = memory.data(3 * 256, 16);
const TERMS_QQ: usize = memory.data(3 * 256, 16);
const SUMS: usize = memory.data(32, 16);
const SHIFTS: usize = memory.data(16, 16);

export function encodeIQ1_M(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ1();
  weighBlock(x, importance, 2, 0);
  memory.fill(block, 0, BYTES);
  for (let j = 0; j < 16; j++) {
    const at = x + j * 64;
    const w = WEIGHTS + j * 64;
    store<f32>(SCALES + j * 4, -1);
    store<u8>(SHIFTS + j, 0);
    if (largestMagnitude(at, 16) < ZERO_BELOW || !searchSplit(at, w)) continue;
    store<f32>(SCALES + j * 4, snapSplit(book, at, w, 16));
    store<u8>(SHIFTS + j, splitShift);
    const first = <u32>load<u16>(POINTS) >> 5;
    const second = <u32>load<u16>(POINTS, 2) >> 5;
    store<u8>(block + j * 2, first);
    store<u8>(block + j * 2, second, 1);
    store<u8>(block + HIGH + j, (first >> 8) | ((second >> 8) << 4));
  }
  let d = codeScales(16, 7);
  if (d == 0) return;
  d = fitFactor(book, x, block, d);
  const half = toHalf(d * <f32>1.1125);
  for (let n = 0; n < 4; n++) {
    let word = ((half >> (4 * n)) & 15) << 12;
    for (let k = 0; k < 4; k++) word |= (<u32>load<u8>(SCALE_CODES + n * 4 + k)) << (3 * k);
    store<u16>(block + SCALE_WORDS + n * 2, word);
  }
  for (let j = 0; j < 16; j++) {
    const shift = load<u8>(SHIFTS + j);
    store<u8>(block + HIGH + j, load<u8>(block + HIGH + j) | (shift & 2 ? 0x08 : 0) | (shift & 1 ? 0x80 : 0));
  }
}

/** The factor that fits all elements, also those of sub-blocks of zeros, which stand at point 0. */
function fitFactor(book: Codebook, x: usize, block: usize, start: f32): f32 {
  let sumXq: f32 = 0;
  let sumQq: f32 = 0;
  for (let k = 0; k < 32; k++) {
    const high = (<u32>load<u8>(block + HIGH + (k >> 1)) >> (4 * (k & 1))) & 7;
    const values = valuesOf(book, load<u8>(SHIFTS + (k >> 1)), (k & 1) == 1) + ((<u32>load<u8>(block + k) | (high << 8)) << 5);
    const scale = <f32>(<i32>load<u8>(SCALE_CODES + (k >> 1)) * 2 + 1);
    for (let i = 0; i < 8; i++) {
      const at = k * 32 + i * 4;
      const q: f32 = load<f32>(values + i * 4) * scale;
      const wq: f32 = load<f32>(WEIGHTS + at) * q;
      sumXq += wq * load<f32>(x + at);
      sumQq += wq * q;
    }
  }
  return sumQq > 0 ? sumXq / sumQq : start;
}

/** All ways to cut 16 ascending values in three, with the four shifts in the lanes. */
function searchSplit(x: usize, w: usize): bool {
  sortAscending(x, 16);
  for (let place = 0; place < 16; place++) {
    const i = <i32>load<u8>(ORDER + place);
    const up = f32x4.splat(0.125);
    const down = f32x4.splat(-0.125);
    const shift = v128.bitselect(up, down, i < 8 ? i32x4(-1, -1, 0, 0) : i32x4(-1, 0, -1, 0));
    for (let level = 0; level < 3; level++) {
      const q = f32x4.add(f32x4.splat(<f32>(level - 1)), shift);
      const wq = f32x4.mul(f32x4.splat(load<f32>(w + i * 4)), q);
      v128.store(TERMS_XQ + level * 256 + place * 16, f32x4.mul(wq, f32x4.splat(load<f32>(x + i * 4))));
      v128.store(TERMS_QQ + level * 256 + place * 16, f32x4.mul(wq, q));
    }
  }
  const zero = f32x4.splat(0);
  let lowXq = zero;
  let lowQq = zero;
  beginSplits();
  for (let low = 0; low <= 16; low++) {
    let middleXq = lowXq;
    let middleQq = lowQq;
    for (let high = low; high <= 16; high++) {
      let sumXq = middleXq;
      let sumQq = middleQq;
      for (let at = high * 16; at < 256; at += 16) {
        sumXq = f32x4.add(sumXq, v128.load(TERMS_XQ + at, 512));
        sumQq = f32x4.add(sumQq, v128.load(TERMS_QQ + at, 512));
      }
      const better = f32x4.gt(f32x4.mul(sumXq, sumXq), f32x4.mul(f32x4.splat(best), sumQq));
      if (v128.any_true(v128.and(f32x4.gt(sumQq, zero), better))) {
        v128.store(SUMS, sumXq);
        v128.store(SUMS, sumQq, 16);
        for (let shift = 0; shift < 4; shift++) trySplit(low, high, shift, load<f32>(SUMS + shift * 4), load<f32>(SUMS + shift * 4, 16));
      }
      if (high == 16) break;
      middleXq = f32x4.add(middleXq, v128.load(TERMS_XQ + high * 16, 256));
      middleQq = f32x4.add(middleQq, v128.load(TERMS_QQ + high * 16, 256));
    }
    if (low == 16) break;
    lowXq = f32x4.add(lowXq, v128.load(TERMS_XQ + low * 16));
    lowQq = f32x4.add(lowQq, v128.load(TERMS_QQ + low * 16));
  }
  return takeSplit(16);
}

export function decodeIQ1_M(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ1();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    let half: u32 = 0;
    for (let n = 0; n < 4; n++) half |= (<u32>load<u16>(blocks + SCALE_WORDS + n * 2) >> 12) << (4 * n);
    const d = fromHalf(half);
    for (let k = 0; k < 32; k++, x += 32) {
      const j = k >> 1;
      const code = (<u32>load<u16>(blocks + SCALE_WORDS + (j >> 2) * 2) >> (3 * (j & 3))) & 7;
      const nibble = (<u32>load<u8>(blocks + HIGH + j) >> (4 * (k & 1))) & 15;
      const point = <u32>load<u8>(blocks + k) | ((nibble & 7) << 8);
      storeTernary(book, point, nibble > 7, d * <f32>(code * 2 + 1), x);
    }
  }
}
