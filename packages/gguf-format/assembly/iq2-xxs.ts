import { bookIQ2_XXS } from './codebook';
import { codeScales, SCALE_CODES, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import { ALL, FOUND, SIGNS, searchCodebook } from './search-codebook';
import { evenSigns, storeEight } from './signed-points';

const BYTES: i32 = 66;

export function encodeIQ2_XXS(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ2_XXS();
  weighBlock(x, importance, 1, 0);
  memory.fill(block, 0, BYTES);
  for (let j = 0; j < 8; j++) {
    const scale = searchCodebook(book, x + j * 128, WEIGHTS + j * 128, 32, 6, 0.1, true, true, 1e-15, ALL);
    store<f32>(SCALES + j * 4, scale);
    if (scale < 0) continue;
    for (let k = 0; k < 4; k++) store<u8>(block + 2 + j * 8 + k, load<u16>(FOUND + k * 2) >> 5);
    store<u32>(block + 6 + j * 8, packSigns(SIGNS));
  }
  const d = codeScales(8, 15);
  // Cleared when no scale is left, as in ggml.
  if (d == 0) memory.fill(block, 0, BYTES);
  for (let j = 0; j < 8; j++) addScale(block + 6 + j * 8, load<u8>(SCALE_CODES + j));
  store<u16>(block, toHalf(d));
}

/** Four times seven signs. */
export function packSigns(signs: usize): u32 {
  return <u32>load<u8>(signs) | ((<u32>load<u8>(signs, 1)) << 7) | ((<u32>load<u8>(signs, 2)) << 14) | ((<u32>load<u8>(signs, 3)) << 21);
}

/** Puts a 4-bit scale above the signs of a word. */
export function addScale(word: usize, code: u32): void {
  store<u32>(word, load<u32>(word) | (code << 28));
}

export function decodeIQ2_XXS(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ2_XXS();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    for (let j = 0; j < 8; j++, x += 128) {
      const at = blocks + 2 + j * 8;
      const word = load<u32>(at, 4);
      const factor: f32 = d * (<f32>0.5 + <f32>(word >> 28)) * 0.25;
      for (let k = 0; k < 4; k++) storeEight(book, load<u8>(at + k), evenSigns((word >> (7 * k)) & 127), factor, x + k * 32);
    }
  }
}
