import type { Rng } from '@calibrant/core';

export interface SamplingOptions {
  /** 0 takes the most likely token; 1 samples from the model's own distribution. */
  readonly temperature: number;
  /** Sample among the k most likely tokens; all if absent. */
  readonly topK?: number;
}

/**
 * Draws a token from one row of logits. Uses exactly one random number when the temperature is above 0 and none at 0; of equal logits the lower id
 * comes first. Sums in f64.
 */
export function sampleToken(logits: Float32Array, { temperature, topK = logits.length }: SamplingOptions, random: Rng): number {
  const best = indexOfLargest(logits);
  if (temperature === 0) return best;
  const draw = random.uniform();
  const candidates = topK < logits.length ? largest(logits, topK) : undefined;
  const count = candidates?.length ?? logits.length;
  const at = (i: number): number => (candidates ? candidates[i] : i);
  const weights = new Float64Array(count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    weights[i] = Math.exp((logits[at(i)] - logits[best]) / temperature);
    sum += weights[i];
  }
  let left = draw * sum;
  for (let i = 0; i < count; i++) {
    left -= weights[i];
    if (left < 0) return at(i);
  }
  return best;
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function largest(values: Float32Array, count: number): Uint32Array {
  return Uint32Array.from(values.keys())
    .sort((a, b) => values[b] - values[a] || a - b)
    .subarray(0, count);
}
