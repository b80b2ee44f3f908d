const f = Math.fround;
/** Blocks whose largest magnitude is below this count as zero. */
const ALL_ZERO = f(1e-15);
const TRIALS = 7;

/** The values of the 16 codes of IQ4_NL and IQ4_XS, in units of the block's scale. */
export const NON_LINEAR_VALUES = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** The code whose value is nearest; of two equally near ones the upper, and the last one for what is not a number. */
export function nearestNonLinear(value: number): number {
  let code = 0;
  while (code < 15 && !(2 * value < NON_LINEAR_VALUES[code] + NON_LINEAR_VALUES[code + 1])) code++;
  return code;
}

/**
 * ggml's search for the scale of a block on the non-linear grid: the largest `(Σ w q x)² / Σ w q²` among the first scales `max / 127`
 * and `max / (t − 127)`, t = −7 … 7, where `max` is the element of largest magnitude with its sign and q the value of the nearest code.
 * Returns `Σ w q x / Σ w q²`. All sums run in index order in f32.
 */
export function searchNonLinear(x: Float32Array, weights: Float32Array): number {
  let max = 0;
  let magnitude = 0;
  for (const value of x)
    if (Math.abs(value) > magnitude) {
      magnitude = Math.abs(value);
      max = value;
    }
  if (magnitude < ALL_ZERO) return 0;
  let { sumXq, sumQq } = fit(x, weights, f(1 / f(max / 127)));
  let scale = sumQq > 0 ? f(sumXq / sumQq) : 0;
  let best = f(scale * sumXq);
  for (let trial = -TRIALS; trial <= TRIALS; trial++) {
    ({ sumXq, sumQq } = fit(x, weights, f((trial - 127) / max)));
    if (sumQq > 0 && f(sumXq * sumXq) > f(best * sumQq)) {
      scale = f(sumXq / sumQq);
      best = f(scale * sumXq);
    }
  }
  return scale;
}

function fit(x: Float32Array, weights: Float32Array, inverse: number): { sumXq: number; sumQq: number } {
  let sumXq = 0;
  let sumQq = 0;
  for (let i = 0; i < x.length; i++) {
    const q = NON_LINEAR_VALUES[nearestNonLinear(f(inverse * x[i]))];
    const wq = f(weights[i] * q);
    sumXq = f(sumXq + f(wq * x[i]));
    sumQq = f(sumQq + f(wq * q));
  }
  return { sumXq, sumQq };
}
