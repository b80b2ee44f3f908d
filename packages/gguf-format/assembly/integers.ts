import { toHalf } from './half';

/** 16 codes as distances from their zero point. */
function levels(codes: usize, zeroPoint: v128): v128 {
  return i8x16.sub(v128.load(codes), zeroPoint);
}

/** Codes with a zero point and a scale per 32, as blocks of Q4_0: byte j holds elements j and j + 16, 8 more than the distance. */
export function packQ4_0(rows: i32, codes: usize, zeroPoints: usize, scales: usize, blocks: usize, columns: i32): void {
  const middle = i8x16.splat(8);
  for (let block = 0; block < (rows * columns) / 32; block++, codes += 32, zeroPoints += 1, scales += 4, blocks += 18) {
    const zero = i8x16.sub(i8x16.splat(load<i8>(zeroPoints)), middle);
    store<u16>(blocks, toHalf(load<f32>(scales)));
    v128.store(blocks + 2, v128.or(levels(codes, zero), i8x16.shl(levels(codes + 16, zero), 4)));
  }
}

/** The same as blocks of Q5_0: 16 more than the distance, the fifth bits of all 32 in a word of their own. */
export function packQ5_0(rows: i32, codes: usize, zeroPoints: usize, scales: usize, blocks: usize, columns: i32): void {
  const middle = i8x16.splat(16);
  const low = i8x16.splat(15);
  for (let block = 0; block < (rows * columns) / 32; block++, codes += 32, zeroPoints += 1, scales += 4, blocks += 22) {
    const zero = i8x16.sub(i8x16.splat(load<i8>(zeroPoints)), middle);
    const first = levels(codes, zero);
    const second = levels(codes + 16, zero);
    store<u16>(blocks, toHalf(load<f32>(scales)));
    store<u32>(blocks + 2, i8x16.bitmask(i8x16.shl(first, 3)) | (i8x16.bitmask(i8x16.shl(second, 3)) << 16));
    v128.store(blocks + 6, v128.or(v128.and(first, low), i8x16.shl(second, 4)));
  }
}

/** The same as blocks of Q8_0, whose codes are the distances. */
export function packQ8_0(rows: i32, codes: usize, zeroPoints: usize, scales: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, codes += 32, zeroPoints += 1, scales += 4, blocks += 34) {
    const zero = i8x16.splat(load<i8>(zeroPoints));
    store<u16>(blocks, toHalf(load<f32>(scales)));
    v128.store(blocks + 2, levels(codes, zero));
    v128.store(blocks + 2, levels(codes + 16, zero), 16);
  }
}
