import { fromHalf, toHalf } from './half';
import { CODES, roundBlock, rowSigma, searchBlocks, searchedBlock } from './plain-symmetric';
import { store16 } from './q4-0';

const BYTES: i32 = 22;

/** Writes the scale and the 32 codes of plain-symmetric. */
export function storeBlock(scale: f32, blocks: usize): void {
  const low = v128.load(CODES);
  const high = v128.load(CODES, 16);
  const nibble = i8x16.splat(15);
  store<u16>(blocks, toHalf(scale));
  // Shifted by 3, the fifth bit is the sign bit that bitmask gathers.
  store<u32>(blocks + 2, i8x16.bitmask(i8x16.shl(low, 3)) | (i8x16.bitmask(i8x16.shl(high, 3)) << 16));
  v128.store(blocks + 6, v128.or(v128.and(low, nibble), i8x16.shl(v128.and(high, nibble), 4)));
}

export function encodeQ5_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  if (!importance) {
    for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) storeBlock(roundBlock(x, 16), blocks);
    return;
  }
  for (let row = 0; row < rows; row++) {
    const sigma2 = rowSigma(x, columns);
    for (let column = 0; column < columns; column += 128) {
      const count = min(4, (columns - column) / 32);
      searchBlocks(x, importance + column * 4, sigma2, count, 16);
      for (let j = 0; j < count; j++, x += 128, blocks += BYTES) storeBlock(searchedBlock(x, j, 16), blocks);
    }
  }
}

/** Sixteen bits as 0 or 16 in sixteen bytes. */
export function fifthBits(bits: u32): v128 {
  const spread = i8x16.swizzle(i32x4.splat(bits), v128(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const mask = v128(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return v128.and(i8x16.eq(v128.and(spread, mask), mask), i8x16.splat(16));
}

export function decodeQ5_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    const high = load<u32>(blocks + 2);
    const packed = v128.load(blocks + 6);
    store16(i8x16.sub(v128.or(v128.and(packed, i8x16.splat(15)), fifthBits(high)), i8x16.splat(16)), scale, x);
    store16(i8x16.sub(v128.or(i8x16.shr_u(packed, 4), fifthBits(high >> 16)), i8x16.splat(16)), scale, x + 64);
  }
}
