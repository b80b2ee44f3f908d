import type { Rng } from '@calibrant/core';

/** The position of the largest value, the first of equals. */
export function mostLikely(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * Draws a token from one row of probabilities, among the `topK` most likely (of equals, the lower ids come first). Uses exactly one random
 * number. Sums in f64.
 */
export function drawToken(probabilities: Float32Array, topK: number | undefined, random: Rng): number {
  const draw = random.uniform();
  const allowed = topK !== undefined && topK < probabilities.length ? keepLargest(probabilities, topK) : probabilities;
  let sum = 0;
  for (let i = 0; i < allowed.length; i++) sum += allowed[i];
  let left = draw * sum;
  for (let i = 0; i < allowed.length; i++) {
    left -= allowed[i];
    if (left < 0) return i;
  }
  return mostLikely(probabilities);
}

/** The values with all but the k largest set to 0. */
function keepLargest(values: Float32Array, count: number): Float32Array {
  const threshold = values.slice().sort()[values.length - count];
  let equals = count;
  for (const value of values) if (value > threshold) equals--;
  return values.map((value) => (value > threshold || (value === threshold && equals-- > 0) ? value : 0));
}
