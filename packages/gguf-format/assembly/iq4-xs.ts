import { fromHalf, toHalf } from './half';
import { searchFour } from './iq4-nl';
import { nearestInt, sumOfSquares, weighByImportance } from './lanes';
import { store16 } from './q4-0';
import { nonLinearBlock, nonLinearValues, SCALE } from './search-non-linear';

const BYTES: i32 = 136;
const LOW: i32 = 4;
const CODES: i32 = 8;

const WEIGHTS: usize = memory.data(256 * 4, 16);
const SUB_SCALES: usize = memory.data(32, 16);

export function encodeIQ4_XS(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  if (importance) weighByImportance(x, importance, sumOfSquares(x, 256) * <f32>0.0078125, 256, WEIGHTS);
  for (let group = 0; group < 2; group++) {
    searchFour(x + group * 512, importance ? WEIGHTS + group * 512 : 0, 128, 256, 384);
    v128.store(SUB_SCALES + group * 16, v128.load(SCALE));
  }
  let largest: f32 = 0;
  let magnitude: f32 = 0;
  for (let j = 0; j < 8; j++) {
    const scale = load<f32>(SUB_SCALES + j * 4);
    if (abs<f32>(scale) > magnitude) {
      magnitude = abs<f32>(scale);
      largest = scale;
    }
  }
  const d: f32 = -largest / 32;
  const inverse: f32 = d != 0 ? <f32>1 / d : 0;
  let low: u32 = 0;
  let high: u32 = 0;
  for (let j = 0; j < 8; j++) {
    const scale = max(-32, min(31, nearestInt(inverse * load<f32>(SUB_SCALES + j * 4))));
    low |= (<u32>(scale + 32) & 15) << (4 * j);
    high |= (<u32>(scale + 32) >> 4) << (2 * j);
    // Unlike in the other super-blocks, the codes are taken against the factor before it is rounded to half precision.
    const step: f32 = d * <f32>scale;
    v128.store(block + CODES + j * 16, nonLinearBlock(x + j * 128, step != 0 ? <f32>1 / step : 0));
  }
  store<u16>(block, toHalf(d));
  store<u16>(block, high, 2);
  store<u32>(block, low, LOW);
}

export function decodeIQ4_XS(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    const high = <u32>load<u16>(blocks, 2);
    const low = load<u32>(blocks, LOW);
    for (let j = 0; j < 8; j++, x += 128) {
      const scale = <i32>(((low >> (4 * j)) & 15) | (((high >> (2 * j)) & 3) << 4)) - 32;
      const packed = v128.load(blocks + CODES + j * 16);
      const step = f32x4.splat(d * <f32>scale);
      store16(nonLinearValues(v128.and(packed, i8x16.splat(15))), step, x);
      store16(nonLinearValues(i8x16.shr_u(packed, 4)), step, x + 64);
    }
  }
}
