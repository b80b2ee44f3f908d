import { fromHalf, toHalf } from './half';

const SIZE: i32 = 32;
const BYTES: i32 = 34;

/** Largest magnitude of 32 floats. */
export function largestMagnitude(x: usize): f32 {
  let most = f32x4.abs(v128.load(x));
  for (let i = 16; i < 128; i += 16) most = f32x4.pmax(most, f32x4.abs(v128.load(x + i)));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.pmax(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  return f32x4.extract_lane(most, 0);
}

/** Whole parts; 0 where the value has none that fits (infinite or NaN), as the x86 conversion followed by a narrowing gives. */
export function truncated(value: v128): v128 {
  const fits = f32x4.lt(f32x4.abs(value), f32x4.splat(2147483648));
  return v128.and(i32x4.trunc_sat_f32x4_s(value), fits);
}

/** Nearest integers, halves away from zero; 0 for what is infinite or not a number. */
export function rounded(value: v128): v128 {
  const half = v128.or(v128.and(value, i32x4.splat(0x80000000)), f32x4.splat(reinterpret<f32>(0x3effffff)));
  return truncated(f32x4.add(value, half));
}

export function encodeQ8_0(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / SIZE; block++, x += SIZE * 4, blocks += BYTES) {
    const scale: f32 = largestMagnitude(x) / 127;
    const inverse = f32x4.splat(scale != 0 ? <f32>1 / scale : 0);
    store<u16>(blocks, toHalf(scale));
    for (let i = 0; i < SIZE; i += 16) {
      const at = x + i * 4;
      const a = rounded(f32x4.mul(v128.load(at), inverse));
      const b = rounded(f32x4.mul(v128.load(at, 16), inverse));
      const c = rounded(f32x4.mul(v128.load(at, 32), inverse));
      const d = rounded(f32x4.mul(v128.load(at, 48), inverse));
      v128.store(blocks + 2 + i, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
    }
  }
}

export function decodeQ8_0(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / SIZE; block++, x += SIZE * 4, blocks += BYTES) {
    const scale = f32x4.splat(fromHalf(load<u16>(blocks)));
    for (let i = 0; i < SIZE; i += 4)
      v128.store(
        x + i * 4,
        f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(blocks + 2 + i))))),
      );
  }
}
