import { bookIQ3_XXS } from './codebook';
import { codeScales, SCALE_CODES, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import { addScale, packSigns } from './iq2-xxs';
import { FOUND, OFF_GRID, SIGNS, searchCodebook } from './search-codebook';
import { evenSigns, storeTwoFours } from './signed-points';

const BYTES: i32 = 98;
const WORDS: i32 = 66;

export function encodeIQ3_XXS(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ3_XXS();
  weighBlock(x, importance, 2, 0);
  memory.fill(block, 0, BYTES);
  for (let j = 0; j < 8; j++) {
    const scale = searchCodebook(book, x + j * 128, WEIGHTS + j * 128, 32, 15, 0.2, false, true, 1e-8, OFF_GRID);
    store<f32>(SCALES + j * 4, scale);
    if (scale < 0) continue;
    for (let k = 0; k < 8; k++) store<u8>(block + 2 + j * 8 + k, load<u16>(FOUND + k * 2) >> 4);
    store<u32>(block + WORDS + j * 4, packSigns(SIGNS));
  }
  const d = codeScales(8, 15);
  // Cleared when no scale is left, as in ggml.
  if (d == 0) memory.fill(block, 0, BYTES);
  for (let j = 0; j < 8; j++) addScale(block + WORDS + j * 4, load<u8>(SCALE_CODES + j));
  store<u16>(block, toHalf(d * <f32>1.0125));
}

export function decodeIQ3_XXS(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ3_XXS();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    for (let j = 0; j < 8; j++, x += 128) {
      const word = load<u32>(blocks + WORDS + j * 4);
      const factor: f32 = d * (<f32>0.5 + <f32>(word >> 28)) * 0.5;
      for (let k = 0; k < 4; k++) {
        const at = blocks + 2 + j * 8 + k * 2;
        storeTwoFours(book, load<u8>(at), load<u8>(at, 1), true, evenSigns((word >> (7 * k)) & 127), factor, x + k * 32);
      }
    }
  }
}
