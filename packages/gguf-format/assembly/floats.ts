import { fromHalf4, toHalf4 } from './half';

export function encodeF32(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  memory.copy(blocks, x, <usize>rows * columns * 4);
}

export function decodeF32(rows: i32, blocks: usize, x: usize, columns: i32): void {
  memory.copy(x, blocks, <usize>rows * columns * 4);
}

/** Converts in groups of 8; the rest goes through a buffer, so that nothing behind the operands is touched. */
const REST: usize = memory.data(48, 16);

export function encodeF16(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  const count = rows * columns;
  let i = 0;
  for (; i <= count - 8; i += 8)
    v128.store(blocks + i * 2, i16x8.narrow_i32x4_u(toHalf4(v128.load(x + i * 4)), toHalf4(v128.load(x + i * 4, 16))));
  if (i == count) return;
  memory.copy(REST, x + i * 4, (count - i) * 4);
  v128.store(REST, i16x8.narrow_i32x4_u(toHalf4(v128.load(REST)), toHalf4(v128.load(REST, 16))), 32);
  memory.copy(blocks + i * 2, REST + 32, (count - i) * 2);
}

export function decodeF16(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const count = rows * columns;
  let i = 0;
  for (; i <= count - 8; i += 8) halves(blocks + i * 2, x + i * 4);
  if (i == count) return;
  memory.copy(REST + 32, blocks + i * 2, (count - i) * 2);
  halves(REST + 32, REST);
  memory.copy(x + i * 4, REST, (count - i) * 4);
}

function halves(from: usize, to: usize): void {
  const patterns = v128.load(from);
  v128.store(to, fromHalf4(i32x4.extend_low_i16x8_u(patterns)));
  v128.store(to, fromHalf4(i32x4.extend_high_i16x8_u(patterns)), 16);
}

/** bf16 is the upper half of f32, rounded to nearest even; NaN becomes quiet. */
function upperHalf(x: v128): v128 {
  const upper = i32x4.shr_u(x, 16);
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), v128.and(upper, i32x4.splat(1))), 16);
  const isNaN = i32x4.gt_s(v128.and(x, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000));
  return v128.bitselect(v128.or(upper, i32x4.splat(0x40)), rounded, isNaN);
}

export function encodeBF16(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  const count = rows * columns;
  let i = 0;
  for (; i <= count - 8; i += 8)
    v128.store(blocks + i * 2, i16x8.narrow_i32x4_u(upperHalf(v128.load(x + i * 4)), upperHalf(v128.load(x + i * 4, 16))));
  if (i == count) return;
  memory.copy(REST, x + i * 4, (count - i) * 4);
  v128.store(REST, i16x8.narrow_i32x4_u(upperHalf(v128.load(REST)), upperHalf(v128.load(REST, 16))), 32);
  memory.copy(blocks + i * 2, REST + 32, (count - i) * 2);
}

export function decodeBF16(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const count = rows * columns;
  let i = 0;
  for (; i <= count - 8; i += 8) {
    const patterns = v128.load(blocks + i * 2);
    v128.store(x + i * 4, i32x4.shl(i32x4.extend_low_i16x8_u(patterns), 16));
    v128.store(x + i * 4, i32x4.shl(i32x4.extend_high_i16x8_u(patterns), 16), 16);
  }
  for (; i < count; i++) store<u32>(x + i * 4, (<u32>load<u16>(blocks + i * 2)) << 16);
}
