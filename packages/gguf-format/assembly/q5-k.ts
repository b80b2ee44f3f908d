import { CODES, encodeAffineSuperBlock, FACTORS, PAIR_MINS, PAIR_SCALES, PAIRS, unpackPairs } from './affine-super-block';
import { fromHalf } from './half';
import { affine16 } from './q4-k';

const BYTES: i32 = 176;
const HIGH: i32 = 16;
const LOW: i32 = 48;

export function encodeQ5_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES) {
      encodeAffineSuperBlock(x, importance ? importance + column * 4 : 0, 31, -0.5, 0.1, 15);
      store<u32>(blocks, load<u32>(FACTORS));
      store<u64>(blocks + 4, load<u64>(PAIRS));
      store<u32>(blocks + 4, load<u32>(PAIRS, 8), 8);
      pack(CODES, blocks);
    }
}

/** Writes 256 codes, a byte each. */
export function pack(codes: usize, block: usize): void {
  const nibble = i8x16.splat(15);
  for (let l = 0; l < 32; l += 16) {
    let high = i8x16.splat(0);
    for (let chunk = 0; chunk < 4; chunk++) {
      const a = v128.load(codes + chunk * 64 + l);
      const b = v128.load(codes + chunk * 64 + l, 32);
      v128.store(block + LOW + chunk * 32 + l, v128.or(v128.and(a, nibble), i8x16.shl(b, 4)));
      const pair = v128.or(i8x16.shr_u(a, 4), i8x16.shl(i8x16.shr_u(b, 4), 1));
      high = v128.or(high, i8x16.shl(pair, 2 * chunk));
    }
    v128.store(block + HIGH + l, high);
  }
}

export function decodeQ5_K(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    const dmin = fromHalf(load<u16>(blocks, 2));
    unpackPairs(blocks + 4);
    for (let j = 0; j < 8; j++, x += 128) {
      const scale = f32x4.splat(d * <f32>load<u8>(PAIR_SCALES + j));
      const min = f32x4.splat(dmin * <f32>load<u8>(PAIR_MINS + j));
      for (let l = 0; l < 32; l += 16) {
        const packed = v128.load(blocks + LOW + (j >> 1) * 32 + l);
        const low = j & 1 ? i8x16.shr_u(packed, 4) : v128.and(packed, i8x16.splat(15));
        const high = v128.and(i8x16.shr_u(v128.load(blocks + HIGH + l), j), i8x16.splat(1));
        affine16(v128.or(low, i8x16.shl(high, 4)), scale, min, x + l * 4);
      }
    }
  }
}
