// Types of elements, as numbered in core-variants.ts.
const F64: i32 = 0;
const F32: i32 = 1;
const F16: i32 = 2;
const BF16: i32 = 3;
const E4M3: i32 = 4;

/** f32 values on their way between two small types. */
const BLOCK: i32 = 1024;
const block = memory.data(4096, 16);

/** Converts `rows · columns` values of type `from` to type `to`, rounding to nearest even once. */
export function convert(rows: i32, x: usize, y: usize, columns: i32, from: i32, to: i32): void {
  const count = <usize>rows * <usize>columns;
  if (from == to) {
    memory.copy(y, x, count * bytesOf(from));
    return;
  }
  if (from == F64) {
    for (let i: usize = 0; i < count; i++) storeFromF64(y, i, to, load<f64>(x + (i << 3)));
    return;
  }
  for (let start: usize = 0; start < count; start += BLOCK) {
    const size = <i32>min<usize>(BLOCK, count - start);
    const source = x + start * bytesOf(from);
    const target = y + start * bytesOf(to);
    let values = block;
    if (from == F32) values = source;
    else {
      if (to == F32) values = target;
      decode(source, values, size, from);
    }
    if (to != F32) encode(values, target, size, to);
  }
}

function bytesOf(type: i32): usize {
  return type == F64 ? 8 : type == F32 ? 4 : type == F16 || type == BF16 ? 2 : 1;
}

function decode(x: usize, y: usize, count: i32, type: i32): void {
  for (let i: i32 = 0; i < count; i += 4) {
    let words: v128;
    // The last step may be short: it is done lane by lane.
    const left = min(4, count - i);
    if (type == F16 || type == BF16) {
      const at = x + ((<usize>i) << 1);
      words = left == 4 ? v128.load16x4_u(at) : i32x4(load<u16>(at), left > 1 ? load<u16>(at + 2) : 0, left > 2 ? load<u16>(at + 4) : 0, 0);
    } else {
      const at = x + <usize>i;
      words = i32x4(load<u8>(at), left > 1 ? load<u8>(at + 1) : 0, left > 2 ? load<u8>(at + 2) : 0, left > 3 ? load<u8>(at + 3) : 0);
    }
    let values: v128;
    if (type == BF16) values = i32x4.shl(words, 16);
    else if (type == F16) values = fromHalf(words);
    else if (type == E4M3) values = fromE4M3(words);
    else values = fromHalf(i32x4.shl(words, 8)); // E5M2 is the upper byte of binary16
    const at = y + ((<usize>i) << 2);
    if (left == 4) v128.store(at, values);
    else {
      store<i32>(at, i32x4.extract_lane(values, 0));
      if (left > 1) store<i32>(at + 4, i32x4.extract_lane(values, 1));
      if (left > 2) store<i32>(at + 8, i32x4.extract_lane(values, 2));
    }
  }
}

/** binary16 to f32: shift the bits into place and let a multiplication by 2^112 mend the exponent, also of subnormals. NaN becomes the quiet NaN. */
function fromHalf(words: v128): v128 {
  const magnitude = v128.and(words, i32x4.splat(0x7fff));
  const sign = i32x4.shl(v128.and(words, i32x4.splat(0x8000)), 16);
  const scaled = f32x4.mul(i32x4.shl(magnitude, 13), i32x4.splat(0x77800000));
  const infinite = i32x4.eq(magnitude, i32x4.splat(0x7c00));
  const nan = i32x4.gt_s(magnitude, i32x4.splat(0x7c00));
  const finite = v128.or(sign, v128.bitselect(i32x4.splat(0x7f800000), scaled, infinite));
  return v128.bitselect(i32x4.splat(0x7fc00000), finite, nan);
}

function fromE4M3(words: v128): v128 {
  const magnitude = v128.and(words, i32x4.splat(0x7f));
  const sign = i32x4.shl(v128.and(words, i32x4.splat(0x80)), 24);
  // 2^120 mends the difference of the exponents' biases, 127 - 7.
  const scaled = f32x4.mul(i32x4.shl(magnitude, 20), i32x4.splat(0x7b800000));
  return v128.bitselect(i32x4.splat(0x7fc00000), v128.or(sign, scaled), i32x4.eq(magnitude, i32x4.splat(0x7f)));
}

function encode(x: usize, y: usize, count: i32, type: i32): void {
  let i: i32 = 0;
  if (type == F64) {
    for (; i < count; i++) store<f64>(y + ((<usize>i) << 3), <f64>load<f32>(x + ((<usize>i) << 2)));
    return;
  }
  for (; i + 4 <= count; i += 4) {
    const values = v128.load(x + ((<usize>i) << 2));
    const words = type == BF16 ? toBrain(values) : toHalf(values);
    const packed = i16x8.narrow_i32x4_u(words, words);
    v128.store64_lane(y + ((<usize>i) << 1), packed, 0);
  }
  for (; i < count; i++) {
    const value = f32x4.splat(load<f32>(x + ((<usize>i) << 2)));
    store<u16>(y + ((<usize>i) << 1), <u16>i32x4.extract_lane(type == BF16 ? toBrain(value) : toHalf(value), 0));
  }
}

/** f32 to bfloat16 in the low half of each lane; a NaN keeps its upper bits and becomes quiet. */
function toBrain(x: v128): v128 {
  const upper = i32x4.shr_u(x, 16);
  const rounded = i32x4.shr_u(i32x4.add(x, i32x4.add(i32x4.splat(0x7fff), v128.and(upper, i32x4.splat(1)))), 16);
  return v128.bitselect(rounded, v128.or(upper, i32x4.splat(0x40)), f32x4.eq(x, x));
}

/**
 * f32 to binary16 in the low half of each lane. Normal results round by integer arithmetic; subnormal ones by adding a number whose last
 * place is 2^-24, so that the adder rounds. NaN becomes 0x7e00.
 */
function toHalf(x: v128): v128 {
  const bits = v128.and(x, i32x4.splat(0x7fffffff));
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000));
  const odd = v128.and(i32x4.shr_u(bits, 13), i32x4.splat(1));
  // Rebias by (15 - 127) << 23 and add half of the last place less one, or half if odd.
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(<i32>0xc8000fff)), odd), 13);
  const magic = i32x4.splat(0x3f000000);
  const subnormal = i32x4.sub(f32x4.add(bits, magic), magic);
  let result = v128.bitselect(subnormal, normal, i32x4.lt_s(bits, i32x4.splat(0x38800000)));
  // 65520 and above overflow.
  result = v128.bitselect(i32x4.splat(0x7c00), result, i32x4.ge_s(bits, i32x4.splat(0x477ff000)));
  result = v128.or(result, sign);
  return v128.bitselect(i32x4.splat(0x7e00), result, i32x4.gt_s(bits, i32x4.splat(0x7f800000)));
}

function storeFromF64(y: usize, i: usize, to: i32, value: f64): void {
  if (to == F32) {
    store<f32>(y + (i << 2), <f32>value);
    return;
  }
  const odd = f32x4.splat(roundToOdd(value));
  const words = to == BF16 ? (value == value ? toBrain(odd) : i32x4.splat(0x7fc0)) : toHalf(odd);
  store<u16>(y + (i << 1), <u16>i32x4.extract_lane(words, 0));
}

/** f64 to f32 rounded to odd: a second rounding to fewer bits then gives what one rounding from f64 gives (Boldo and Melquiond). */
function roundToOdd(value: f64): f32 {
  const near = <f32>value;
  const back = <f64>near;
  if (back == value || value != value) return near;
  let bits = reinterpret<u32>(near);
  if (Math.abs(back) > Math.abs(value)) bits -= 1;
  return reinterpret<f32>(bits | 1);
}
