import { fromHalf, toHalf } from './half';
import { interleave, nearestCodes, nearestInt } from './lanes';
import { store16 } from './q4-0';
import { INVERSE, SCALE, searchSymmetric, symmetricCodes } from './search-symmetric';

const BYTES: i32 = 210;
const QH: i32 = 128;
const SCALES: i32 = 192;
const D: i32 = 208;

const X: usize = memory.data(16 * 16, 16);
const W: usize = memory.data(16 * 16, 16);
const SUB_SCALES: usize = memory.data(64, 16);
const INVERSES: usize = memory.data(64, 16);
const CODES: usize = memory.data(256, 16);

export function encodeQ6_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  for (let group = 0; group < 4; group++) {
    const at = x + group * 256;
    interleave(at, at + 64, at + 128, at + 192, 16, X);
    if (importance) {
      const weights = importance + group * 256;
      interleave(weights, weights + 64, weights + 128, weights + 192, 16, W);
    } else
      for (let i = 0; i < 256; i += 16) {
        const value = v128.load(X + i);
        v128.store(W + i, f32x4.mul(value, value));
      }
    searchSymmetric(X, W, 16, 32);
    v128.store(SUB_SCALES + group * 16, v128.load(SCALE));
    v128.store(INVERSES + group * 16, v128.load(INVERSE));
  }
  let largest: f32 = 0;
  let magnitude: f32 = 0;
  for (let j = 0; j < 16; j++) {
    const scale = load<f32>(SUB_SCALES + j * 4);
    if (abs<f32>(scale) > magnitude) {
      magnitude = abs<f32>(scale);
      largest = scale;
    }
  }
  if (magnitude < <f32>1e-15) {
    memory.fill(block, 0, BYTES);
    return;
  }
  const inverse: f32 = <f32>-128 / largest;
  const half = toHalf(<f32>1 / inverse);
  store<u16>(block + D, half);
  for (let j = 0; j < 16; j++) {
    const scale = min(127, nearestInt(inverse * load<f32>(SUB_SCALES + j * 4)));
    store<i8>(block + SCALES + j, scale);
    roundSubBlock(x + j * 64, j, fromHalf(half) * <f32>(<i8>scale));
  }
  pack(CODES, block);
}

/** Writes 256 codes, a byte each. */
export function pack(codes: usize, block: usize): void {
  for (let h = 0; h < 2; h++) packHalf(codes + h * 128, block + h * 64, block + QH + h * 32);
}

/** Codes against what the decoder will read; where its step is zero, those of the search. */
function roundSubBlock(x: usize, j: i32, step: f32): void {
  const divisor = f32x4.splat(step);
  const inverse = load<f32>(INVERSES + j * 4);
  for (let i = 0; i < 16; i += 8) {
    const a = v128.load(x + i * 4);
    const b = v128.load(x + i * 4, 16);
    let narrow: v128;
    if (step != 0)
      narrow = i16x8.add(
        i16x8.narrow_i32x4_s(nearestCodes(f32x4.div(a, divisor), -32, 31), nearestCodes(f32x4.div(b, divisor), -32, 31)),
        i16x8.splat(32),
      );
    else narrow = i16x8.narrow_i32x4_s(symmetricCodes(a, inverse, 32), symmetricCodes(b, inverse, 32));
    v128.store64_lane(CODES + j * 16 + i, i8x16.narrow_i16x8_s(narrow, narrow), 0);
  }
}

/** 128 codes to 64 bytes of low nibbles and 32 of top bit pairs. */
function packHalf(codes: usize, low: usize, high: usize): void {
  const nibble = i8x16.splat(15);
  for (let l = 0; l < 32; l += 16) {
    const c0 = v128.load(codes + l);
    const c1 = v128.load(codes + l, 32);
    const c2 = v128.load(codes + l, 64);
    const c3 = v128.load(codes + l, 96);
    v128.store(low + l, v128.or(v128.and(c0, nibble), i8x16.shl(c2, 4)));
    v128.store(low + l, v128.or(v128.and(c1, nibble), i8x16.shl(c3, 4)), 32);
    const pairs01 = v128.or(i8x16.shr_u(c0, 4), i8x16.shl(i8x16.shr_u(c1, 4), 2));
    const pairs23 = v128.or(i8x16.shl(i8x16.shr_u(c2, 4), 4), i8x16.shl(i8x16.shr_u(c3, 4), 6));
    v128.store(high + l, v128.or(pairs01, pairs23));
  }
}

export function decodeQ6_K(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, x += 1024, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks + D));
    for (let j = 0; j < 16; j++) {
      const quarter = (j >> 1) & 3;
      const half = j >> 3;
      const l = (j & 1) * 16;
      const packed = v128.load(blocks + half * 64 + (quarter & 1) * 32 + l);
      const low = quarter >> 1 ? i8x16.shr_u(packed, 4) : v128.and(packed, i8x16.splat(15));
      const high = v128.and(i8x16.shr_u(v128.load(blocks + QH + half * 32 + l), quarter * 2), i8x16.splat(3));
      const codes = i8x16.sub(v128.or(low, i8x16.shl(high, 4)), i8x16.splat(32));
      store16(codes, f32x4.splat(d * <f32>load<i8>(blocks + SCALES + j)), x + j * 64);
    }
  }
}
