import { fromHalf, toHalf } from './half';
import { CODES, roundBlock, rowSigma, searchBlocks, searchedBlock } from './plain-symmetric';

const BYTES: i32 = 18;

/** Writes the scale and the 32 codes of plain-symmetric. */
export function storeBlock(scale: f32, blocks: usize): void {
  store<u16>(blocks, toHalf(scale));
  v128.store(blocks + 2, v128.or(v128.load(CODES), i8x16.shl(v128.load(CODES, 16), 4)));
}

export function encodeQ4_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  if (!importance) {
    for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) storeBlock(roundBlock(x, 8), blocks);
    return;
  }
  for (let row = 0; row < rows; row++) {
    const sigma2 = rowSigma(x, columns);
    for (let column = 0; column < columns; column += 128) {
      const count = min(4, (columns - column) / 32);
      searchBlocks(x, importance + column * 4, sigma2, count, 8);
      for (let j = 0; j < count; j++, x += 128, blocks += BYTES) storeBlock(searchedBlock(x, j, 8), blocks);
    }
  }
}

export function decodeQ4_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    const packed = v128.load(blocks + 2);
    store16(i8x16.sub(v128.and(packed, i8x16.splat(15)), i8x16.splat(8)), scale, x);
    store16(i8x16.sub(i8x16.shr_u(packed, 4), i8x16.splat(8)), scale, x + 64);
  }
}

/** Sixteen signed bytes times a scale. */
export function store16(codes: v128, scale: v128, x: usize): void {
  const low = i16x8.extend_low_i8x16_s(codes);
  const high = i16x8.extend_high_i8x16_s(codes);
  v128.store(x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))));
  v128.store(x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low))), 16);
  v128.store(x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), 32);
  v128.store(x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high))), 48);
}
