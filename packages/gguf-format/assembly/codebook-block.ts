import { nearestInt, sumOfSquares, weighByImportance } from './lanes';

/** Weights of a super-block. */
export const WEIGHTS: usize = memory.data(256 * 4, 16);
/** Scales of sub-blocks, −1 for those of zeros, and their 4-bit codes. */
export const SCALES: usize = memory.data(64, 16);
export const SCALE_CODES: usize = memory.data(16, 16);

/** `importance · √(σ² + x²)` with `σ² = sigma · Σ x² / 256`; without importance `plainSigma · σ² + x²`. */
export function weighBlock(x: usize, importance: usize, sigma: f32, plainSigma: f32): void {
  if (importance) {
    weighByImportance(x, importance, (sigma * sumOfSquares(x, 256)) / 256, 256, WEIGHTS);
    return;
  }
  const base = f32x4.splat(plainSigma > 0 ? plainSigma * ((sigma * sumOfSquares(x, 256)) / 256) : 0);
  for (let i = 0; i < 1024; i += 16) {
    const value = v128.load(x + i);
    v128.store(WEIGHTS + i, f32x4.add(base, f32x4.mul(value, value)));
  }
}

/**
 * Codes of the n {@link SCALES} with values `2 l + 1` of the factor `largest / (2 top + 1)`. Returns the factor, 0 where no scale is left; then all codes are 0.
 */
export function codeScales(n: i32, top: i32): f32 {
  let largest: f32 = 0;
  for (let j = 0; j < n; j++) {
    const scale = load<f32>(SCALES + j * 4);
    if (scale > largest) largest = scale;
  }
  memory.fill(SCALE_CODES, 0, 16);
  if (!(largest > 0)) return 0;
  const d: f32 = largest / <f32>(top * 2 + 1);
  const inverse: f32 = <f32>1 / d;
  for (let j = 0; j < n; j++) {
    const scale = max<f32>(0, load<f32>(SCALES + j * 4));
    store<u8>(SCALE_CODES + j, max(0, min(top, nearestInt(<f32>0.5 * (inverse * scale - 1)))));
  }
  return d;
}
