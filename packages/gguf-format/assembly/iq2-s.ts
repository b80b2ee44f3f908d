import { bookIQ2_S } from './codebook';
import { codeScales, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import { eightFactor, storeScalePairs } from './iq2-xs';
import { FOUND, OFF_GRID, SIGNS, searchCodebook } from './search-codebook';
import { storeEight } from './signed-points';

const BYTES: i32 = 82;
const SIGN_BYTES: i32 = 34;
const HIGH: i32 = 66;
const SCALE_BYTES: i32 = 74;

export function encodeIQ2_S(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ2_S();
  weighBlock(x, importance, 2, 0.25);
  memory.fill(block, 0, BYTES);
  for (let j = 0; j < 16; j++) {
    const scale = searchCodebook(book, x + j * 64, WEIGHTS + j * 64, 16, 9, 0.1, false, false, 1e-8, OFF_GRID);
    store<f32>(SCALES + j * 4, scale);
    if (scale < 0) continue;
    for (let at = 2 * j; at < 2 * j + 2; at++) {
      const point = <u32>load<u16>(FOUND + (at & 1) * 2) >> 5;
      store<u8>(block + 2 + at, point);
      store<u8>(block + SIGN_BYTES + at, load<u8>(SIGNS + (at & 1)));
      const high = block + HIGH + (at >> 2);
      store<u8>(high, load<u8>(high) | ((point >> 8) << (2 * (at & 3))));
    }
  }
  const d = codeScales(16, 15);
  storeScalePairs(block + SCALE_BYTES, 16);
  store<u16>(block, toHalf(d * <f32>0.9875));
}

export function decodeIQ2_S(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ2_S();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    for (let k = 0; k < 32; k++, x += 32) {
      const high = (<u32>load<u8>(blocks + HIGH + (k >> 2)) >> (2 * (k & 3))) & 3;
      const point = <u32>load<u8>(blocks + 2 + k) | (high << 8);
      storeEight(book, point, load<u8>(blocks + SIGN_BYTES + k), eightFactor(blocks + SCALE_BYTES, k, d), x);
    }
  }
}
