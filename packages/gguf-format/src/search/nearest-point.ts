import type { Codebook } from '../codebooks/codebook.js';

const f = Math.fround;
const LARGEST = f(3.4028234663852886e38);

/**
 * The point for a vector of levels: that of the levels themselves, or of those near them the one with the least `Σ w (scale · value(level) − x)²`, summed
 * in f32 in index order, the first of equal ones. Writes the point's levels over the given ones.
 *
 * @param values what the levels stand for, in units of `scale`
 */
export function nearestPoint(
  { points, size, indexOf, nearby }: Codebook,
  levels: Uint8Array,
  x: Float32Array,
  weights: Float32Array,
  scale: number,
  values: readonly number[],
): { index: number; onGrid: boolean } {
  const found = indexOf(levels);
  if (found >= 0) return { index: found, onGrid: true };
  const candidates = nearby(levels);
  let index = candidates[0];
  let least = LARGEST;
  for (const candidate of candidates) {
    let error = 0;
    for (let i = 0; i < size; i++) {
      const difference = f(f(scale * values[points[candidate * size + i]]) - x[i]);
      error = f(error + f(f(weights[i] * difference) * difference));
    }
    if (error < least) {
      least = error;
      index = candidate;
    }
  }
  levels.set(points.subarray(index * size, (index + 1) * size));
  return { index, onGrid: false };
}
