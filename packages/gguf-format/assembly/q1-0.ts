import { fromHalf, toHalf } from './half';

const SIZE: i32 = 128;
const BYTES: i32 = 18;

export function encodeQ1_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  const zero = f32x4.splat(0);
  for (let block = 0; block < (rows * columns) / SIZE; block++, x += SIZE * 4, blocks += BYTES) {
    let sum: f32 = 0;
    for (let i = 0; i < SIZE; i += 8) {
      const a = v128.load(x + i * 4);
      const b = v128.load(x + i * 4, 16);
      sum += abs<f32>(load<f32>(x + i * 4));
      sum += abs<f32>(load<f32>(x + i * 4, 4));
      sum += abs<f32>(load<f32>(x + i * 4, 8));
      sum += abs<f32>(load<f32>(x + i * 4, 12));
      sum += abs<f32>(load<f32>(x + i * 4, 16));
      sum += abs<f32>(load<f32>(x + i * 4, 20));
      sum += abs<f32>(load<f32>(x + i * 4, 24));
      sum += abs<f32>(load<f32>(x + i * 4, 28));
      store<u8>(blocks + 2 + (i >> 3), i32x4.bitmask(f32x4.ge(a, zero)) | (i32x4.bitmask(f32x4.ge(b, zero)) << 4));
    }
    store<u16>(blocks, toHalf(sum / <f32>SIZE));
  }
}

export function decodeQ1_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const bits = i32x4(1, 2, 4, 8);
  const sign = i32x4.splat(0x80000000);
  for (let block = 0; block < (rows * columns) / SIZE; block++, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    for (let i = 0; i < 16; i++, x += 32) {
      const byte = i32x4.splat(load<u8>(blocks + 2 + i));
      const low = i32x4.eq(v128.and(byte, bits), i32x4.splat(0));
      const high = i32x4.eq(v128.and(byte, i32x4.shl(bits, 4)), i32x4.splat(0));
      v128.store(x, v128.xor(scale, v128.and(low, sign)));
      v128.store(x, v128.xor(scale, v128.and(high, sign)), 16);
    }
  }
}
