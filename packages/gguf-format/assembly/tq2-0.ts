import { fromHalf, toHalf } from './half';
import { store16 } from './q4-0';
import { largestOf, ternary16 } from './ternary';
import { twoBits16 } from './two-bit-planes';

const BYTES: i32 = 66;
const D: i32 = 64;

export function encodeTQ2_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, x += 1024, blocks += BYTES) {
    const scale = largestOf(x, 256);
    const inverse = f32x4.splat(scale != 0 ? <f32>1 / scale : 0);
    for (let h = 0; h < 2; h++)
      for (let l = 0; l < 32; l += 16) {
        const at = x + h * 512 + l * 4;
        const low = v128.or(ternary16(at, inverse), i8x16.shl(ternary16(at + 128, inverse), 2));
        const high = v128.or(i8x16.shl(ternary16(at + 256, inverse), 4), i8x16.shl(ternary16(at + 384, inverse), 6));
        v128.store(blocks + h * 32 + l, v128.or(low, high));
      }
    store<u16>(blocks + D, toHalf(scale));
  }
}

export function decodeTQ2_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks + D)));
    for (let j = 0; j < 16; j++, x += 64) store16(i8x16.sub(twoBits16(blocks, j), i8x16.splat(1)), scale, x);
  }
}
