const f = Math.fround;

/** `Σ x²` in index order, f32. */
export function sumOfSquares(x: Float32Array): number {
  let sum = 0;
  for (const value of x) sum = f(sum + f(value * value));
  return sum;
}

/** ggml's weight of an element: `importance · √(σ² + x²)`. */
export function weighByImportance(x: Float32Array, importance: Float32Array, sigma2: number): Float32Array {
  return x.map((value, i) => importance[i] * f(Math.sqrt(f(sigma2 + f(value * value)))));
}
