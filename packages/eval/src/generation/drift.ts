import { CalibrantError } from '@calibrant/core';
import { type Histogram, histogram, quantile } from '../statistics.js';
import { type Proportion, proportion } from '../tasks/paired.js';

/** How long greedy texts of two models stay the same. */
export interface DriftFigures {
  readonly prompts: number;
  /** Tokens that were generated at most. */
  readonly maxTokens: number;
  /** Of prompts, the share whose texts are identical in their first `tokens` tokens. */
  readonly identical: readonly ({ readonly tokens: number } & Proportion)[];
  /** Tokens before the first difference, `maxTokens` where there is none; the median over prompts. */
  readonly medianTokens: number;
  /** Prompts by tokens before the first difference; edges double. The last bin also holds texts that never part. */
  readonly histogram: Histogram;
  /** Per prompt, tokens before the first difference; absent where the texts are the same to their end. */
  readonly firstDifference: readonly (number | null)[];
}

/**
 * Compares what two models write greedily for the same prompts.
 *
 * @param base per prompt the new tokens of the base, `model` those of the quantized model
 * @throws CalibrantError `INVALID_ARGUMENT` for no prompts or lists of different lengths
 * @example
 * drift([[5, 6, 7]], [[5, 6, 8]], 3).firstDifference; // [2]
 */
export function drift(base: readonly ArrayLike<number>[], model: readonly ArrayLike<number>[], maxTokens: number): DriftFigures {
  if (base.length === 0 || base.length !== model.length)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `Drift needs as many texts of both models, at least one, found ${base.length} and ${model.length}.`,
    );
  const firstDifference = base.map((ids, i) => firstUnequal(ids, model[i]));
  const lengths = firstDifference.map((at) => at ?? maxTokens);
  const steps: number[] = [];
  for (let tokens = 1; tokens < maxTokens; tokens *= 2) steps.push(tokens);
  steps.push(maxTokens);
  return {
    prompts: base.length,
    maxTokens,
    identical: steps.map((tokens) => ({ tokens, ...proportion(lengths.map((length) => (length >= tokens ? 1 : 0))) })),
    medianTokens: quantile(
      [...lengths].sort((a, b) => a - b),
      0.5,
    ),
    histogram: histogram(lengths, [0, ...steps, maxTokens + 1]),
    firstDifference,
  };
}

/** The first position at which two sequences differ (also where one has ended), or null. */
function firstUnequal(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? null : shorter;
}
