/** The largest value; NaN if there is any. */
export function maximum(row: Float32Array): number {
  let best = -Infinity;
  for (const x of row) {
    if (Number.isNaN(x)) return NaN;
    if (x > best) best = x;
  }
  return best;
}

/** `Σ e^(x − top)` in f64. */
export function expSum(row: Float32Array, top: number): number {
  let sum = 0;
  for (const x of row) sum += Math.exp(x - top);
  return sum;
}
