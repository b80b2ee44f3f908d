import { nearestInt } from '../blocks/nearest-int.js';

const f = Math.fround;

/**
 * ggml's search for a grid of non-negative values `x ≈ scale · l`, `l` in `[0, levels]` (the scales and minima of a super-block):
 * the best of 9 first scales by weighted squared error, then at most 5 sweeps of coordinate descent on `(Σ w x l)² / Σ w l²`.
 * Sums in f32, in index order. Writes the codes, returns the scale.
 */
export function searchPositive(x: Float32Array, weights: Float32Array, levels: number, codes: Uint8Array): number {
  let max = 0;
  for (const value of x) max = max > value ? max : value;
  if (max < f(1e-15)) {
    codes.fill(0);
    return 0;
  }
  let inverse = f(levels / max);
  for (let i = 0; i < x.length; i++) codes[i] = nearestInt(f(inverse * x[i]));
  let best = squaredError(x, weights, f(1 / inverse), (i) => codes[i]);
  for (let trial = -4; trial <= 4; trial++) {
    if (trial === 0) continue;
    const tried = f(f(f(f(0.1) * trial) + levels) / max);
    const error = squaredError(x, weights, f(1 / tried), (i) => Math.min(levels, nearestInt(f(tried * x[i]))));
    if (error < best) {
      best = error;
      inverse = tried;
    }
  }
  let sumXl = 0;
  let sumLl = 0;
  for (let i = 0; i < x.length; i++) {
    const l = Math.min(levels, nearestInt(f(inverse * x[i])));
    codes[i] = l;
    sumXl = f(sumXl + f(f(weights[i] * x[i]) * l));
    sumLl = f(sumLl + f(f(weights[i] * l) * l));
  }
  for (let sweep = 0; sweep < 5; sweep++) {
    let changed = false;
    for (let i = 0; i < x.length; i++) {
      const w = weights[i];
      const wx = f(w * x[i]);
      let slx = f(sumXl - f(wx * codes[i]));
      let sl2 = f(sumLl - f(f(w * codes[i]) * codes[i]));
      if (!(slx > 0 && sl2 > 0)) continue;
      const l = Math.min(levels, nearestInt(f(f(x[i] * sl2) / slx)));
      if (l === codes[i]) continue;
      slx = f(slx + f(wx * l));
      sl2 = f(sl2 + f(f(w * l) * l));
      if (f(f(slx * slx) * sumLl) > f(f(sumXl * sumXl) * sl2)) {
        codes[i] = l;
        sumXl = slx;
        sumLl = sl2;
        changed = true;
      }
    }
    if (!changed) break;
  }
  return sumLl > 0 ? f(sumXl / sumLl) : 0;
}

function squaredError(x: Float32Array, weights: Float32Array, scale: number, code: (index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const difference = f(x[i] - f(scale * code(i)));
    sum = f(sum + f(f(weights[i] * difference) * difference));
  }
  return sum;
}
