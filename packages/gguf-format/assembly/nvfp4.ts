import { comparedCodes, e2m1Codes, storeE2m1 } from './e2m1';
import { largestOf } from './ternary';

const BYTES: i32 = 36;

/** Four bits of exponent (bias 7) and three of mantissa, halves up; 448 from 248 on, 0 for what is not positive. */
function toUe4m3(value: f32): i32 {
  if (!(value > 0)) return 0;
  const bits = reinterpret<u32>(value);
  const exponent = <i32>(bits >> 23) - 120;
  if (exponent <= 0) return min(7, <i32>(value * 512 + <f32>0.5));
  const pattern = (exponent << 3) + <i32>((((bits >> 19) & 15) + 1) >> 1);
  return pattern < 0x78 ? pattern : 0x7e;
}

/** Half the value of a pattern; 0x7f stands for 0. */
function halfUe4m3(pattern: i32): f32 {
  if (pattern == 0x7f) return 0;
  const exponent = (pattern >> 3) & 15;
  const mantissa = <f32>(pattern & 7);
  if (exponent == 0) return mantissa * <f32>0.0009765625;
  return (1 + mantissa * <f32>0.125) * reinterpret<f32>((exponent + 119) << 23);
}

/** The bytes of two vectors of sixteen codes: the first eight in the low nibbles, the others in the high. */
function pack(codes: v128, next: v128): v128 {
  return v128.or(v128.shuffle<u64>(codes, next, 0, 2), i8x16.shl(v128.shuffle<u64>(codes, next, 1, 3), 4));
}

export function encodeNVFP4(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 64; block++, blocks += BYTES)
    for (let s = 0; s < 4; s += 2, x += 128) {
      const codes = encodeSubBlock(x, blocks + s);
      v128.store(blocks + 4 + s * 8, pack(codes, encodeSubBlock(x + 64, blocks + s + 1)));
    }
}

/** Writes the scale of sixteen elements, returns their codes. */
function encodeSubBlock(x: usize, to: usize): v128 {
  const largest = largestOf(x, 16);
  const pattern = toUe4m3(largest / 6);
  store<u8>(to, pattern);
  // Far above the largest scale, errors that differ in truth are equal in f32.
  return largest < 1048576 ? e2m1Codes(x, halfUe4m3(pattern)) : comparedCodes(x, halfUe4m3(pattern));
}

export function decodeNVFP4(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 64; block++, blocks += BYTES)
    for (let s = 0; s < 4; s++, x += 64) {
      const packed = v128.load64_zero(blocks + 4 + s * 8);
      const codes = v128.shuffle<u64>(v128.and(packed, i8x16.splat(15)), i8x16.shr_u(packed, 4), 0, 2);
      storeE2m1(codes, f32x4.splat(halfUe4m3(load<u8>(blocks + s))), x);
    }
}
