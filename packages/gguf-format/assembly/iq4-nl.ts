import { fromHalf, toHalf } from './half';
import { interleave, sumOfSquares, weighByImportance } from './lanes';
import { store16 } from './q4-0';
import { nonLinearBlock, nonLinearValues, SCALE, searchNonLinear } from './search-non-linear';

const BYTES: i32 = 18;

const X: usize = memory.data(32 * 16, 16);
const W: usize = memory.data(32 * 16, 16);
/** Weights of four blocks. */
const WEIGHTS: usize = memory.data(4 * 128, 16);

/** Searches four blocks of 32, at `x` and up to three distances, with their weights at the same distances from `weights` (0: x²). */
export function searchFour(x: usize, weights: usize, b1: usize, b2: usize, b3: usize): void {
  interleave(x, x + b1, x + b2, x + b3, 32, X);
  if (weights) interleave(weights, weights + b1, weights + b2, weights + b3, 32, W);
  else
    for (let i = 0; i < 512; i += 16) {
      const value = v128.load(X + i);
      v128.store(W + i, f32x4.mul(value, value));
    }
  searchNonLinear(X, W);
}

export function encodeIQ4_NL(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  // Without importance a block does not know its row.
  if (!importance) {
    columns *= rows;
    rows = 1;
  }
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 128) {
      const count = min(4, (columns - column) / 32);
      if (importance)
        for (let j = 0; j < count; j++) {
          const at = j * 128;
          const sigma2: f32 = sumOfSquares(x + at, 32) * <f32>0.0625;
          weighByImportance(x + at, importance + column * 4 + at, sigma2, 32, WEIGHTS + at);
        }
      // The last block stands in for missing ones.
      searchFour(x, importance ? WEIGHTS : 0, min(1, count - 1) * 128, min(2, count - 1) * 128, min(3, count - 1) * 128);
      for (let j = 0; j < count; j++, x += 128, blocks += BYTES) {
        const scale = load<f32>(SCALE + j * 4);
        store<u16>(blocks, toHalf(scale));
        v128.store(blocks + 2, nonLinearBlock(x, scale != 0 ? <f32>1 / scale : 0));
      }
    }
}

export function decodeIQ4_NL(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    const packed = v128.load(blocks + 2);
    store16(nonLinearValues(v128.and(packed, i8x16.splat(15))), scale, x);
    store16(nonLinearValues(i8x16.shr_u(packed, 4)), scale, x + 64);
  }
}
