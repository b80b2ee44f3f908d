import { type Estimate, estimate, type WilsonInterval, wilson } from '../statistics.js';

/** A fraction with its standard error and Wilson's 95 % interval. */
export interface Proportion extends Estimate, WilsonInterval {
  readonly count: number;
}

export function proportion(right: readonly number[]): Proportion {
  const successes = right.reduce((a, b) => a + b, 0);
  return { ...estimate(right), ...wilson(successes, right.length), count: right.length };
}

/** Two models on the same items. */
export interface PairedComparison {
  /** Model − base, with the error of a difference of paired values. */
  readonly difference: Estimate;
  /** Items that the base got right and the model wrong, and the other way round. */
  readonly broken: number;
  readonly mended: number;
  /** Items with another answer, right or wrong. */
  readonly changed: Proportion;
  /** McNemar's exact test: how likely at least this imbalance of broken and mended is, if neither model is better. */
  readonly pValue: number;
}

export function comparePairs(
  base: { readonly right: readonly number[]; readonly answers: readonly unknown[] },
  model: { readonly right: readonly number[]; readonly answers: readonly unknown[] },
): PairedComparison {
  const differences = model.right.map((right, i) => right - base.right[i]);
  const broken = differences.filter((difference) => difference < 0).length;
  const mended = differences.filter((difference) => difference > 0).length;
  return {
    difference: estimate(differences),
    broken,
    mended,
    changed: proportion(model.answers.map((answer, i) => (answer === base.answers[i] ? 0 : 1))),
    pValue: mcNemar(broken, mended),
  };
}

/** Two-sided: twice the binomial tail with probability 1/2 (McNemar 1947, exact). */
export function mcNemar(broken: number, mended: number): number {
  const n = broken + mended;
  const least = Math.min(broken, mended);
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= least; k++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * tail);
}
