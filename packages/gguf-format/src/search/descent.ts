import { nearestCode } from '../blocks/nearest-int.js';

const f = Math.fround;
/** Blocks whose largest magnitude is below this count as zero. */
const ALL_ZERO = f(1e-15);
const SWEEPS = 5;

/**
 * ggml's other search for a symmetric grid, with the weights x²: from the codes of the scale `-levels / max`, at most five sweeps in which an
 * element takes the code nearest under the scale that the others ask for, if `(Σ w x l)² / Σ w l²` grows. Writes `l + levels` to `codes`
 * (0 when all of x is zero); returns `Σ w x l / Σ w l²`.
 *
 * All sums run in index order in f32.
 */
export function searchByDescent(x: Float32Array, levels: number, codes: Uint8Array): number {
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
  const inverse = f(-levels / max);
  const found = new Int8Array(x.length);
  let [sumXl, sumLl] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const l = nearestCode(f(inverse * x[i]), -levels, levels - 1);
    const w = f(x[i] * x[i]);
    found[i] = l;
    sumXl = f(sumXl + f(f(w * x[i]) * l));
    sumLl = f(sumLl + f(f(w * l) * l));
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let changed = false;
    for (let i = 0; i < x.length; i++) {
      const w = f(x[i] * x[i]);
      const wx = f(w * x[i]);
      let slx = f(sumXl - f(wx * found[i]));
      if (!(slx > 0)) continue;
      let sl2 = f(sumLl - f(f(w * found[i]) * found[i]));
      const l = nearestCode(f(f(x[i] * sl2) / slx), -levels, levels - 1);
      if (l === found[i]) continue;
      slx = f(slx + f(wx * l));
      sl2 = f(sl2 + f(f(w * l) * l));
      if (sl2 > 0 && f(f(slx * slx) * sumLl) > f(f(sumXl * sumXl) * sl2)) {
        found[i] = l;
        sumXl = slx;
        sumLl = sl2;
        changed = true;
      }
    }
    if (!changed) break;
  }
  for (let i = 0; i < x.length; i++) codes[i] = found[i] + levels;
  return sumLl > 0 ? f(sumXl / sumLl) : 0;
}
