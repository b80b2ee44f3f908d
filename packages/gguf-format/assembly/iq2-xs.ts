import { bookIQ2_XS } from './codebook';
import { codeScales, SCALE_CODES, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import { FOUND, OFF_GRID, SIGNS, searchCodebook } from './search-codebook';
import { evenSigns, storeEight } from './signed-points';

const BYTES: i32 = 74;
const SCALE_BYTES: i32 = 66;

export function encodeIQ2_XS(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ2_XS();
  weighBlock(x, importance, 1, 0);
  memory.fill(block, 0, BYTES);
  for (let j = 0; j < 16; j++) {
    const scale = searchCodebook(book, x + j * 64, WEIGHTS + j * 64, 16, 9, 0.1, false, true, 1e-15, OFF_GRID);
    store<f32>(SCALES + j * 4, scale);
    if (scale < 0) continue;
    for (let k = 0; k < 2; k++) store<u16>(block + 2 + j * 4 + k * 2, (load<u16>(FOUND + k * 2) >> 5) | ((<u32>load<u8>(SIGNS + k)) << 9));
  }
  const d = codeScales(16, 15);
  // Cleared when no scale is left, as in ggml.
  if (d == 0) memory.fill(block, 0, BYTES);
  storeScalePairs(block + SCALE_BYTES, 16);
  store<u16>(block, toHalf(d));
}

/** The {@link SCALE_CODES} of n sub-blocks as nibbles, the lower one first. */
export function storeScalePairs(to: usize, n: i32): void {
  for (let j = 0; j < n; j += 2) store<u8>(to + (j >> 1), load<u8>(SCALE_CODES + j) | (load<u8>(SCALE_CODES + j, 1) << 4));
}

/** `d · (scale + ½) / 4` for the k-th eight elements, with scales of 16 as nibbles. */
export function eightFactor(scales: usize, k: i32, d: f32): f32 {
  return d * (<f32>0.5 + <f32>((<u32>load<u8>(scales + (k >> 2)) >> (2 * (k & 2))) & 15)) * 0.25;
}

export function decodeIQ2_XS(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ2_XS();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    for (let k = 0; k < 32; k++, x += 32) {
      const word = <u32>load<u16>(blocks + 2 + k * 2);
      storeEight(book, word & 511, evenSigns(word >> 9), eightFactor(blocks + SCALE_BYTES, k, d), x);
    }
  }
}
