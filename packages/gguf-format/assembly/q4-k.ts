import { CODES, encodeAffineSuperBlock, FACTORS, PAIR_MINS, PAIR_SCALES, PAIRS, unpackPairs } from './affine-super-block';
import { fromHalf } from './half';

const BYTES: i32 = 144;

export function encodeQ4_K(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES) {
      encodeAffineSuperBlock(x, importance ? importance + column * 4 : 0, 15, -1, 0.1, 20);
      store<u32>(blocks, load<u32>(FACTORS));
      store<u64>(blocks + 4, load<u64>(PAIRS));
      store<u32>(blocks + 4, load<u32>(PAIRS, 8), 8);
      packNibblePlanes(CODES, blocks + 16);
    }
}

/** 256 four-bit codes, a byte each, to 128 bytes. */
export function packNibblePlanes(codes: usize, to: usize): void {
  for (let chunk = 0; chunk < 4; chunk++)
    for (let l = 0; l < 32; l += 16) {
      const low = v128.load(codes + chunk * 64 + l);
      const high = v128.load(codes + chunk * 64 + l, 32);
      v128.store(to + chunk * 32 + l, v128.or(low, i8x16.shl(high, 4)));
    }
}

export function decodeQ4_K(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    const dmin = fromHalf(load<u16>(blocks, 2));
    unpackPairs(blocks + 4);
    for (let j = 0; j < 8; j++, x += 128) {
      const scale = f32x4.splat(d * <f32>load<u8>(PAIR_SCALES + j));
      const min = f32x4.splat(dmin * <f32>load<u8>(PAIR_MINS + j));
      const from = blocks + 16 + (j >> 1) * 32;
      for (let l = 0; l < 32; l += 16) {
        const packed = v128.load(from + l);
        const codes = j & 1 ? i8x16.shr_u(packed, 4) : v128.and(packed, i8x16.splat(15));
        affine16(codes, scale, min, x + l * 4);
      }
    }
  }
}

/** `scale · code − min` of sixteen bytes. */
export function affine16(codes: v128, scale: v128, min: v128, to: usize): void {
  const low = i16x8.extend_low_i8x16_u(codes);
  const high = i16x8.extend_high_i8x16_u(codes);
  v128.store(to, f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(low))), min));
  v128.store(to, f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(low))), min), 16);
  v128.store(to, f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(high))), min), 32);
  v128.store(to, f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(high))), min), 48);
}
