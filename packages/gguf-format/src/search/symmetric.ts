import { nearestCode } from '../blocks/nearest-int.js';

const f = Math.fround;
/** Blocks whose largest magnitude is below this count as zero. */
const ALL_ZERO = f(1e-15);

/**
 * ggml's search for a symmetric grid: the scale `s` and codes `l` in `[-levels, levels - 1]` with the largest
 * `(Σ w x l)² / Σ w l²` among 19 first scales `-(levels + 0.1 t) / max`, where `max` is the element of largest magnitude with its sign;
 * `s = Σ w x l / Σ w l²`. Writes `l + levels` to `codes` (0 when all of x is zero).
 *
 * All sums run in index order in f32.
 */
export function searchSymmetric(x: Float32Array, weights: Float32Array, levels: number, codes: Uint8Array): number {
  let max = 0;
  let magnitude = 0;
  for (const value of x)
    if (Math.abs(value) > magnitude) {
      magnitude = Math.abs(value);
      max = value;
    }
  if (magnitude < ALL_ZERO) {
    codes.fill(0);
    return 0;
  }
  let bestInverse = f(-levels / max);
  let { sumXl, sumLl } = fit(x, weights, levels, bestInverse);
  let scale = sumLl !== 0 ? f(sumXl / sumLl) : 0;
  let best = f(scale * sumXl);
  for (let trial = -9; trial <= 9; trial++) {
    if (trial === 0) continue;
    const inverse = f(-f(levels + f(f(0.1) * trial)) / max);
    ({ sumXl, sumLl } = fit(x, weights, levels, inverse));
    if (sumLl > 0 && f(sumXl * sumXl) > f(best * sumLl)) {
      bestInverse = inverse;
      scale = f(sumXl / sumLl);
      best = f(scale * sumXl);
    }
  }
  for (let i = 0; i < x.length; i++) codes[i] = levels + nearestCode(f(bestInverse * x[i]), -levels, levels - 1);
  return scale;
}

/** `Σ w x l` and `Σ w l²` with `l = round(inverse · x)`. */
function fit(x: Float32Array, weights: Float32Array, levels: number, inverse: number): { sumXl: number; sumLl: number } {
  let sumXl = 0;
  let sumLl = 0;
  for (let i = 0; i < x.length; i++) {
    const l = nearestCode(f(inverse * x[i]), -levels, levels - 1);
    const w = weights[i];
    sumXl = f(sumXl + f(f(w * x[i]) * l));
    sumLl = f(sumLl + f(f(w * l) * l));
  }
  return { sumXl, sumLl };
}
