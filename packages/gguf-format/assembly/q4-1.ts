import { fromHalf, toHalf } from './half';
import { CODES, minimum, roundBlock, scale, searchBlocks, searchedBlock } from './plain-affine';
import { rowSigma } from './plain-symmetric';
import { affine16 } from './q4-k';

const BYTES: i32 = 20;

/** Writes scale, minimum and the 32 codes of plain-affine. */
export function storeBlock(scale: f32, minimum: f32, blocks: usize): void {
  store<u16>(blocks, toHalf(scale));
  store<u16>(blocks, toHalf(minimum), 2);
  v128.store(blocks + 4, v128.or(v128.load(CODES), i8x16.shl(v128.load(CODES, 16), 4)));
}

export function encodeQ4_1(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  if (!importance) {
    for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
      roundBlock(x, 15);
      storeBlock(scale, minimum, blocks);
    }
    return;
  }
  for (let row = 0; row < rows; row++) {
    const sigma2 = rowSigma(x, columns);
    for (let column = 0; column < columns; column += 128) {
      const count = min(4, (columns - column) / 32);
      searchBlocks(x, importance + column * 4, sigma2, count, 15);
      for (let j = 0; j < count; j++, x += 128, blocks += BYTES) {
        searchedBlock(x, j, 15);
        storeBlock(scale, minimum, blocks);
      }
    }
  }
}

export function decodeQ4_1(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    const min = f32x4.splat(-fromHalf(load<u16>(blocks, 2)));
    const packed = v128.load(blocks + 4);
    affine16(v128.and(packed, i8x16.splat(15)), scale, min, x);
    affine16(i8x16.shr_u(packed, 4), scale, min, x + 64);
  }
}
