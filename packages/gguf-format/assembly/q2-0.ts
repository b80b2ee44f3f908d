import { fromHalf, toHalf } from './half';
import { store16 } from './q4-0';
import { largestOf, ternary16 } from './ternary';

const SIZE: i32 = 64;
const BYTES: i32 = 18;
/** Of each four bytes the first and third, and the first two. */
const EVEN = i8x16(-1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0);
const FIRST_TWO = i8x16(-1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0);

export function encodeQ2_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / SIZE; block++, x += SIZE * 4, blocks += BYTES) {
    const scale = largestOf(x, SIZE);
    const inverse: f32 = scale > 0 ? <f32>1 / scale : 0;
    const factor = f32x4.splat(inverse);
    store<u16>(blocks, toHalf(scale));
    for (let i = 0; i < 4; i++) {
      // A scale so small that its inverse is infinite leaves the lowest code everywhere.
      const codes = inverse == f32.POSITIVE_INFINITY ? i8x16.splat(0) : ternary16(x + i * 64, factor);
      const pairs = v128.or(codes, i32x4.shr_u(codes, 6));
      const bytes = v128.or(pairs, i32x4.shr_u(pairs, 12));
      v128.store32_lane(blocks + 2 + i * 4, i8x16.swizzle(bytes, v128(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)), 0);
    }
  }
}

export function decodeQ2_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / SIZE; block++, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    for (let i = 0; i < 4; i++, x += 64) {
      const packed = v128.load32_zero(blocks + 2 + i * 4);
      const spread = i8x16.swizzle(packed, v128(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
      const lower = v128.bitselect(spread, i8x16.shr_u(spread, 2), EVEN);
      const upper = v128.bitselect(i8x16.shr_u(spread, 4), i8x16.shr_u(spread, 6), EVEN);
      const codes = v128.and(v128.bitselect(lower, upper, FIRST_TWO), i8x16.splat(3));
      store16(i8x16.sub(codes, i8x16.splat(1)), scale, x);
    }
  }
}
