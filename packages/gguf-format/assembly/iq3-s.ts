import { bookIQ3_S } from './codebook';
import { codeScales, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import { storeScalePairs } from './iq2-xs';
import { ALL_IF_ANY, FOUND, SIGNS, searchCodebook } from './search-codebook';
import { storeTwoFours } from './signed-points';

const BYTES: i32 = 110;
const HIGH: i32 = 66;
const SIGN_BYTES: i32 = 74;
const SCALE_BYTES: i32 = 106;

export function encodeIQ3_S(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ3_S();
  weighBlock(x, importance, 2, 0);
  memory.fill(block, 0, BYTES);
  // The places of sub-blocks of zeros are left out, as in ggml (src/blocks/iq3-s.ts).
  let written = 0;
  for (let j = 0; j < 8; j++) {
    const scale = searchCodebook(book, x + j * 128, WEIGHTS + j * 128, 32, 9, 0.2, false, false, 0, ALL_IF_ANY);
    store<f32>(SCALES + j * 4, scale);
    if (scale < 0) continue;
    let high: u32 = 0;
    for (let k = 0; k < 8; k++) {
      const point = <u32>load<u16>(FOUND + k * 2) >> 4;
      store<u8>(block + 2 + written * 8 + k, point);
      high |= (point >> 8) << k;
    }
    store<u8>(block + HIGH + j, high);
    store<u32>(block + SIGN_BYTES + written * 4, load<u32>(SIGNS));
    written++;
  }
  const d = codeScales(8, 15);
  storeScalePairs(block + SCALE_BYTES, 8);
  store<u16>(block, toHalf(d * <f32>1.033));
}

export function decodeIQ3_S(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ3_S();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    for (let j = 0; j < 8; j++, x += 128) {
      const code = (<u32>load<u8>(blocks + SCALE_BYTES + (j >> 1)) >> (4 * (j & 1))) & 15;
      const factor: f32 = d * <f32>(code * 2 + 1);
      const high = <u32>load<u8>(blocks + HIGH + j);
      for (let k = 0; k < 4; k++) {
        const at = blocks + 2 + j * 8 + k * 2;
        const first = <u32>load<u8>(at) | (((high >> (2 * k)) & 1) << 8);
        const second = <u32>load<u8>(at, 1) | (((high >> (2 * k + 1)) & 1) << 8);
        storeTwoFours(book, first, second, false, load<u8>(blocks + SIGN_BYTES + j * 4 + k), factor, x + k * 32);
      }
    }
  }
}
