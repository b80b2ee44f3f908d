/** to[i] = (p0[i], p1[i], p2[i], p3[i]) for i < n, n a multiple of 4: four runs of floats side by side in the lanes. */
export function interleave(p0: usize, p1: usize, p2: usize, p3: usize, n: i32, to: usize): void {
  for (let i = 0; i < n; i += 4) {
    const at = i * 4;
    const a = v128.load(p0 + at);
    const b = v128.load(p1 + at);
    const c = v128.load(p2 + at);
    const d = v128.load(p3 + at);
    transpose(a, b, c, d, to + i * 16);
  }
}

/** Stores four vectors as columns: lane i of each goes to the i-th sixteen bytes. */
export function transpose(a: v128, b: v128, c: v128, d: v128, to: usize): void {
  const ab01 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab23 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd23 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab01, cd01, 0, 1, 4, 5));
  v128.store(to, v128.shuffle<f32>(ab01, cd01, 2, 3, 6, 7), 16);
  v128.store(to, v128.shuffle<f32>(ab23, cd23, 0, 1, 4, 5), 32);
  v128.store(to, v128.shuffle<f32>(ab23, cd23, 2, 3, 6, 7), 48);
}

/**
 * Nearest integers clamped to [low, high], ties to even, by adding 1.5 · 2^23 and reading the mantissa: also out of range it gives
 * the bits that ggml gets.
 */
export function nearestCodes(value: v128, low: i32, high: i32): v128 {
  const bits = v128.and(f32x4.add(value, f32x4.splat(12582912)), i32x4.splat(0x007fffff));
  return i32x4.max_s(i32x4.splat(low), i32x4.min_s(i32x4.splat(high), i32x4.sub(bits, i32x4.splat(0x00400000))));
}

export function nearestInt(value: f32): i32 {
  return (reinterpret<i32>(value + 12582912) & 0x007fffff) - 0x00400000;
}

/** `importance · √(σ² + x²)` for n elements. */
export function weighByImportance(x: usize, importance: usize, sigma2: f32, n: i32, to: usize): void {
  const sigma = f32x4.splat(sigma2);
  for (let i = 0; i < n * 4; i += 16) {
    const value = v128.load(x + i);
    v128.store(to + i, f32x4.mul(v128.load(importance + i), f32x4.sqrt(f32x4.add(sigma, f32x4.mul(value, value)))));
  }
}

/** `Σ x²` in index order. */
export function sumOfSquares(x: usize, n: i32): f32 {
  let sum: f32 = 0;
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + i * 4);
    sum += value * value;
  }
  return sum;
}
