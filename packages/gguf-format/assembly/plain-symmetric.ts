import { interleave, sumOfSquares, weighByImportance } from './lanes';
import { largestMagnitude, truncated } from './q8-0';
import { INVERSE, SCALE, searchSymmetric, symmetricCodes } from './search-symmetric';

/** Codes of one block of 32, a byte each. */
export const CODES: usize = memory.data(32, 16);

/** The element of largest magnitude with its sign, the first of equal ones; +0 when all are zero. */
function signedLargest(x: usize): f32 {
  const largest = largestMagnitude(x);
  if (largest == 0) return 0;
  const magnitude = f32x4.splat(largest);
  for (let i = 0; i < 128; i += 16) {
    const found = i32x4.bitmask(f32x4.eq(f32x4.abs(v128.load(x + i)), magnitude));
    if (found) return load<f32>(x + i + ctz(found) * 4);
  }
  return 0;
}

/** One block without importance: writes {@link CODES}, returns the scale. */
export function roundBlock(x: usize, levels: i32): f32 {
  const scale: f32 = signedLargest(x) / <f32>-levels;
  const inverse = f32x4.splat(scale != 0 ? <f32>1 / scale : 0);
  const shift = f32x4.splat(<f32>levels + 0.5);
  for (let i = 0; i < 32; i += 16) {
    const at = x + i * 4;
    const a = truncated(f32x4.add(f32x4.mul(v128.load(at), inverse), shift));
    const b = truncated(f32x4.add(f32x4.mul(v128.load(at, 16), inverse), shift));
    const c = truncated(f32x4.add(f32x4.mul(v128.load(at, 32), inverse), shift));
    const d = truncated(f32x4.add(f32x4.mul(v128.load(at, 48), inverse), shift));
    const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    v128.store(CODES + i, i8x16.min_s(bytes, i8x16.splat(<i8>(2 * levels - 1))));
  }
  return scale;
}

const X: usize = memory.data(32 * 16, 16);
const W: usize = memory.data(32 * 16, 16);
/** Weights of four blocks. */
const WEIGHTS: usize = memory.data(4 * 128, 16);
const SCALES: usize = memory.data(16, 16);
const INVERSES: usize = memory.data(16, 16);

export function rowSigma(x: usize, columns: i32): f32 {
  return sumOfSquares(x, columns) / <f32>columns;
}

/** Searches the scales of up to four neighbouring blocks with importance; the last block stands in for missing ones. */
export function searchBlocks(x: usize, importance: usize, sigma2: f32, count: i32, levels: i32): void {
  weighByImportance(x, importance, sigma2, 32 * count, WEIGHTS);
  const b1 = min(1, count - 1) * 128;
  const b2 = min(2, count - 1) * 128;
  const b3 = min(3, count - 1) * 128;
  interleave(x, x + b1, x + b2, x + b3, 32, X);
  interleave(WEIGHTS, WEIGHTS + b1, WEIGHTS + b2, WEIGHTS + b3, 32, W);
  searchSymmetric(X, W, 32, levels);
  v128.store(SCALES, v128.load(SCALE));
  v128.store(INVERSES, v128.load(INVERSE));
}

/** Block `index` of the last {@link searchBlocks}, whose elements are at `x`: writes {@link CODES}, returns the scale. */
export function searchedBlock(x: usize, index: i32, levels: i32): f32 {
  const inverse = load<f32>(INVERSES + index * 4);
  for (let i = 0; i < 32; i += 16) {
    const at = x + i * 4;
    const ab = i16x8.narrow_i32x4_s(symmetricCodes(v128.load(at), inverse, levels), symmetricCodes(v128.load(at, 16), inverse, levels));
    const cd = i16x8.narrow_i32x4_s(symmetricCodes(v128.load(at, 32), inverse, levels), symmetricCodes(v128.load(at, 48), inverse, levels));
    v128.store(CODES + i, i8x16.narrow_i16x8_s(ab, cd));
  }
  return load<f32>(SCALES + index * 4);
}
