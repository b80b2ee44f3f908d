import { nearestCode } from '../blocks/nearest-int.js';

const f = Math.fround;

/** The trials of {@link searchAffine}: inverse scales `(first + step · t + levels) / (max − min)`, t = 0 … count. */
export interface AffineTrials {
  readonly levels: number;
  readonly first: number;
  readonly step: number;
  readonly count: number;
  /** Trials are compared by `Σ w · |error|` instead of `Σ w · error²`. */
  readonly absolute?: boolean;
}

/**
 * ggml's search for an affine grid `x ≈ scale · l − min` with `l` in `[0, levels]` and `min ≥ 0`: for each trial, codes by rounding,
 * then weighted least squares for scale and minimum, keeping the smallest weighted error. Later trials start from the best minimum so far.
 *
 * All sums run in index order in f32. Writes the codes; returns scale and min.
 */
export function searchAffine(
  x: Float32Array,
  weights: Float32Array,
  trials: AffineTrials,
  codes: Uint8Array,
): { scale: number; min: number } {
  const { levels, first, step, count, absolute } = trials;
  let min = x[0];
  let max = x[0];
  let sumW = weights[0];
  let sumX = f(sumW * x[0]);
  for (let i = 1; i < x.length; i++) {
    if (x[i] < min) min = x[i];
    if (x[i] > max) max = x[i];
    sumW = f(sumW + weights[i]);
    sumX = f(sumX + f(weights[i] * x[i]));
  }
  if (min > 0) min = 0;
  if (max === min) {
    codes.fill(0);
    return { scale: 0, min: -min };
  }
  const found = new Uint8Array(x.length);
  const round = (inverse: number, out: Uint8Array): void => {
    for (let i = 0; i < x.length; i++) out[i] = nearestCode(f(inverse * f(x[i] - min)), 0, levels);
  };
  const error = (scale: number, base: number, of: Uint8Array): number => {
    let sum = 0;
    for (let i = 0; i < x.length; i++) {
      const difference = f(f(f(scale * of[i]) + base) - x[i]);
      sum = f(sum + f(weights[i] * (absolute ? Math.abs(difference) : f(difference * difference))));
    }
    return sum;
  };
  const firstInverse = f(levels / f(max - min));
  let scale = f(1 / firstInverse);
  round(firstInverse, codes);
  let best = error(scale, min, codes);
  for (let trial = 0; trial <= count; trial++) {
    round(f(f(f(f(first) + f(f(step) * trial)) + levels) / f(max - min)), found);
    let [sumL, sumLl, sumXl] = [0, 0, 0];
    for (let i = 0; i < x.length; i++) {
      const wl = f(weights[i] * found[i]);
      sumL = f(sumL + wl);
      sumLl = f(sumLl + f(wl * found[i]));
      sumXl = f(sumXl + f(wl * x[i]));
    }
    const determinant = f(f(sumW * sumLl) - f(sumL * sumL));
    if (!(determinant > 0)) continue;
    let thisScale = f(f(f(sumW * sumXl) - f(sumX * sumL)) / determinant);
    let thisMin = f(f(f(sumLl * sumX) - f(sumL * sumXl)) / determinant);
    if (thisMin > 0) {
      thisMin = 0;
      thisScale = f(sumXl / sumLl);
    }
    const thisError = error(thisScale, thisMin, found);
    if (thisError < best) {
      codes.set(found);
      best = thisError;
      scale = thisScale;
      min = thisMin;
    }
  }
  return { scale, min: -min };
}
