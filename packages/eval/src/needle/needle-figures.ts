import { type Estimate, estimate } from '../statistics.js';
import { choicesOf, type ScoredItem } from '../tasks/multiple-choice.js';
import { comparePairs, type PairedComparison, type Proportion, proportion } from '../tasks/paired.js';
import type { NeedleItem } from './needle-items.js';

/** One length and depth of a long-context check. */
export interface NeedleCell {
  readonly length: number;
  readonly depth: number;
  /** The right word is the most likely of the words. */
  readonly ranked: Proportion;
  /** The model writes the right word greedily. */
  readonly generated: Proportion;
  /** ln p of the right word less that of the best other word. */
  readonly margin: Estimate;
}

export interface NeedleFigures {
  readonly ranked: Proportion;
  readonly generated: Proportion;
  /** Lengths, in each the depths. */
  readonly cells: readonly NeedleCell[];
}

/** A long-context check of the model and of the base if there is one. `chance` is what guessing among the words gives. */
export interface NeedleResult {
  readonly trials: number;
  readonly chance: number;
  readonly model: NeedleFigures;
  readonly base?: NeedleFigures;
  /** By the ranking of the words. */
  readonly comparison?: PairedComparison;
}

export function needleResult(items: readonly NeedleItem[], model: readonly ScoredItem[], base?: readonly ScoredItem[]): NeedleResult {
  const cells = new Set(items.map(({ length, depth }) => `${length} ${depth}`)).size;
  return {
    trials: items.length / cells,
    chance: 1 / items[0].options.length,
    model: figures(items, model),
    ...(base ? { base: figures(items, base), comparison: comparePairs(choicesOf(base, 'accuracy'), choicesOf(model, 'accuracy')) } : {}),
  };
}

function figures(items: readonly NeedleItem[], scored: readonly ScoredItem[]): NeedleFigures {
  const ranked = choicesOf(scored, 'accuracy').right;
  const generated = scored.map(({ answer, options }) => (options[answer].greedy ? 1 : 0));
  const margins = scored.map(
    ({ answer, options }) =>
      options[answer].logLikelihood - Math.max(...options.filter((_, i) => i !== answer).map(({ logLikelihood }) => logLikelihood)),
  );
  const groups = new Map<string, number[]>();
  for (const [i, { length, depth }] of items.entries()) {
    const key = `${length} ${depth}`;
    groups.set(key, [...(groups.get(key) ?? []), i]);
  }
  const cells = [...groups.values()].map((indices) => ({
    length: items[indices[0]].length,
    depth: items[indices[0]].depth,
    ranked: proportion(indices.map((i) => ranked[i])),
    generated: proportion(indices.map((i) => generated[i])),
    margin: estimate(indices.map((i) => margins[i])),
  }));
  return { ranked: proportion(ranked), generated: proportion(generated), cells };
}
