import { e2m1Codes, storeE2m1 } from './e2m1';
import { largestMagnitude } from './q8-0';

const BYTES: i32 = 17;

/** `⌊log2 x⌋` of a logarithm that rounds to f32, and so just below some powers of two up to the next integer. */
function floorLog2(x: f32): i32 {
  // Subnormal numbers are brought into the normal range first.
  const shift = x < <f32>1.1754943508222875e-38 ? 64 : 0;
  const bits = reinterpret<u32>(shift ? x * <f32>18446744073709551616.0 : x);
  const exponent = <i32>(bits >> 23) - 127 - shift;
  const below = <f64>(0x800000 - (bits & 0x7fffff)) / 16777216;
  // Near enough to the next power, the logarithm is that power's less a small multiple of the distance.
  if (below < 1e-4 && <f32>(<f64>(exponent + 1) - 1.4426950408889634 * below) == <f32>(exponent + 1)) return exponent + 1;
  return exponent;
}

/** Half the value of an E8M0 exponent. */
function halfPowerOfTwo(exponent: u32): f32 {
  return reinterpret<f32>(exponent < 2 ? (<u32>0x00200000) << exponent : (exponent - 1) << 23);
}

export function encodeMXFP4(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
    const largest = largestMagnitude(x);
    const exponent = largest > 0 ? <u32>(floorLog2(largest) + 125) & 255 : 0;
    const scale = halfPowerOfTwo(exponent);
    store<u8>(blocks, exponent);
    v128.store(blocks + 1, v128.or(e2m1Codes(x, scale), i8x16.shl(e2m1Codes(x + 64, scale), 4)));
  }
}

export function decodeMXFP4(rows: i32, blocks: usize, x: usize, columns: i32): void {
  for (let block = 0; block < (rows * columns) / 32; block++, x += 128, blocks += BYTES) {
    const scale = f32x4.splat(halfPowerOfTwo(load<u8>(blocks)));
    const packed = v128.load(blocks + 1);
    storeE2m1(v128.and(packed, i8x16.splat(15)), scale, x);
    storeE2m1(i8x16.shr_u(packed, 4), scale, x + 64);
  }
}
