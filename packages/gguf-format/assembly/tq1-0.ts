import { fromHalf, toHalf } from './half';
import { store16 } from './q4-0';
import { largestOf, ternary16 } from './ternary';

const BYTES: i32 = 54;
const QH: i32 = 48;
const D: i32 = 52;

/** `⌈256 q / 243⌉` of sixteen bytes: q plus ⌈13 q / 243⌉, the division by a product with 2^22 / 243. */
function fractions(q: v128): v128 {
  return i8x16.add(q, i8x16.narrow_i16x8_u(extra(i16x8.extend_low_i8x16_u(q)), extra(i16x8.extend_high_i8x16_u(q))));
}

function extra(q: v128): v128 {
  const dividend = i16x8.add(i16x8.mul(q, i16x8.splat(13)), i16x8.splat(242));
  const factor = i16x8.splat(17261);
  const low = i32x4.shr_u(i32x4.extmul_low_i16x8_u(dividend, factor), 22);
  return i16x8.narrow_i32x4_u(low, i32x4.shr_u(i32x4.extmul_high_i16x8_u(dividend, factor), 22));
}

function timesThree(q: v128): v128 {
  return i8x16.add(i8x16.add(q, q), q);
}

/** Sixteen bytes of five digits each, taken from elements `stride` bytes apart. */
function fiveDigits(x: usize, stride: usize, inverse: v128): v128 {
  let q = ternary16(x, inverse);
  for (let n: usize = 1; n < 5; n++) q = i8x16.add(timesThree(q), ternary16(x + n * stride, inverse));
  return fractions(q);
}

export function encodeTQ1_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, x += 1024, blocks += BYTES) {
    const scale = largestOf(x, 256);
    const inverse = f32x4.splat(scale != 0 ? <f32>1 / scale : 0);
    v128.store(blocks, fiveDigits(x, 128, inverse));
    v128.store(blocks + 16, fiveDigits(x + 64, 128, inverse));
    v128.store(blocks + 32, fiveDigits(x + 640, 64, inverse));
    // The last sixteen elements are digits 0-3 of four bytes; the fifth digit is zero.
    const rest = ternary16(x + 960, inverse);
    let q = timesThree(rest);
    q = timesThree(i8x16.add(q, v128.shuffle<u32>(rest, rest, 1, 1, 1, 1)));
    q = timesThree(i8x16.add(q, v128.shuffle<u32>(rest, rest, 2, 2, 2, 2)));
    q = timesThree(i8x16.add(q, v128.shuffle<u32>(rest, rest, 3, 3, 3, 3)));
    v128.store32_lane(blocks + QH, fractions(q), 0);
    store<u16>(blocks + D, toHalf(scale));
  }
}

/** The digit before the point of `3 q / 256`, less 1. */
function digit(q: v128): v128 {
  const over = i8x16.add(i8x16.ge_u(q, i8x16.splat(86)), i8x16.ge_u(q, i8x16.splat(<i8>171)));
  return i8x16.sub(i8x16.splat(-1), over);
}

function storeDigits(from: v128, count: i32, stride: usize, scale: v128, x: usize): void {
  let q = from;
  for (let n = 0; n < count; n++, x += stride) {
    store16(digit(q), scale, x);
    q = timesThree(q);
  }
}

export function decodeTQ1_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, x += 1024, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks + D)));
    storeDigits(v128.load(blocks), 5, 128, scale, x);
    storeDigits(v128.load(blocks + 16), 5, 128, scale, x + 64);
    storeDigits(v128.load(blocks + 32), 5, 64, scale, x + 640);
    const q0 = v128.load32_zero(blocks + QH);
    const q1 = timesThree(q0);
    const q2 = timesThree(q1);
    const q3 = timesThree(q2);
    const q01 = v128.shuffle<u32>(q0, q1, 0, 4, 0, 4);
    store16(digit(v128.shuffle<u32>(q01, v128.shuffle<u32>(q2, q3, 0, 4, 0, 4), 0, 1, 4, 5)), scale, x + 960);
  }
}
