import { CalibrantError } from '@calibrant/core';
import { firstParagraph } from './few-shot.js';
import { type GenerationItem, isAnswer } from './generation-task.js';
import type { ChoiceMetric } from './known-tasks.js';
import { type ChoiceFigures, choiceFigures, choicesOf, type ScoredItem } from './multiple-choice.js';
import { comparePairs, type PairedComparison, type Proportion, proportion } from './paired.js';

/** What a task's result says of where its items came from. */
export interface TaskSource {
  readonly name: string;
  /** File or address. */
  readonly source: string;
  /** SHA-256 of the items that were scored. */
  readonly sha256: string;
  /** Items in the source, before a limit. */
  readonly available: number;
  /** Solved examples before each item. */
  readonly examples?: { readonly count: number; readonly source: string };
}

/** A multiple-choice task, of the model and of the base if there is one. `metric` is the accuracy that is usually reported; `comparison` is by it. */
export interface ChoiceResult extends TaskSource {
  readonly kind: 'choice';
  readonly items: number;
  readonly metric: ChoiceMetric;
  readonly model: ChoiceFigures;
  readonly base?: ChoiceFigures;
  /** The reported accuracy in each group of items, by name; absent where items have no group. */
  readonly groups?: readonly GroupResult[];
  readonly comparison?: PairedComparison;
  /** Options whose context lost its beginning, because the model does not see that many tokens. */
  readonly cut: number;
}

export interface GroupResult {
  readonly name: string;
  readonly model: Proportion;
  readonly base?: Proportion;
}

/** A task in which the model writes its answer, greedily. */
export interface GenerationResult extends TaskSource {
  readonly kind: 'generation';
  readonly items: number;
  readonly maxTokens: number;
  readonly model: { readonly accuracy: Proportion };
  readonly base?: { readonly accuracy: Proportion };
  readonly comparison?: PairedComparison;
  /** Prompts that lost their beginning, because the model does not see that many tokens. */
  readonly cut: number;
  /** The first items, to look at. */
  readonly samples: readonly {
    readonly prompt: string;
    readonly answers: readonly string[];
    readonly model: string;
    readonly base?: string;
    readonly right: boolean;
  }[];
}

export type TaskResult = ChoiceResult | GenerationResult;

const SAMPLES = 10;

/** Figures of a multiple-choice task. @param base the base's scores of the same items */
export function choiceResult(
  source: TaskSource,
  metric: ChoiceMetric,
  model: { readonly scored: readonly ScoredItem[]; readonly cut: number },
  base?: { readonly scored: readonly ScoredItem[] },
): ChoiceResult {
  return {
    kind: 'choice',
    ...source,
    items: model.scored.length,
    metric,
    cut: model.cut,
    model: choiceFigures(model.scored),
    ...groupsOf(metric, model.scored, base?.scored),
    ...(base
      ? { base: choiceFigures(base.scored), comparison: comparePairs(choicesOf(base.scored, metric), choicesOf(model.scored, metric)) }
      : {}),
  };
}

function groupsOf(
  metric: ChoiceMetric,
  model: readonly ScoredItem[],
  base: readonly ScoredItem[] | undefined,
): Pick<ChoiceResult, 'groups'> {
  const names = [...new Set(model.flatMap(({ group }) => group ?? []))].sort();
  if (names.length === 0) return {};
  const of = (scored: readonly ScoredItem[], name: string) =>
    proportion(
      choicesOf(
        scored.filter(({ group }) => group === name),
        metric,
      ).right,
    );
  return { groups: names.map((name) => ({ name, model: of(model, name), ...(base ? { base: of(base, name) } : {}) })) };
}

/** Figures of a task in which models write. @param written what the model wrote for each item, `ofBase` what the base wrote; behind examples both count up to a blank line. `cut`: prompts that lost their beginning */
export function generationResult(
  source: TaskSource,
  maxTokens: number,
  items: readonly GenerationItem[],
  written: readonly string[],
  ofBase?: readonly string[],
  cut = 0,
): GenerationResult {
  if (items.length === 0) throw new CalibrantError('INVALID_ARGUMENT', `${source.name} has no items.`);
  const [texts, base] = source.examples ? [written.map(firstParagraph), ofBase?.map(firstParagraph)] : [written, ofBase];
  const judge = (all: readonly string[]) => all.map((text, i) => (isAnswer(text, items[i]) ? 1 : 0));
  const right = judge(texts);
  const baseRight = base && judge(base);
  return {
    kind: 'generation',
    ...source,
    items: items.length,
    maxTokens,
    cut,
    model: { accuracy: proportion(right) },
    ...(base && baseRight
      ? {
          base: { accuracy: proportion(baseRight) },
          comparison: comparePairs({ right: baseRight, answers: base }, { right, answers: texts }),
        }
      : {}),
    samples: items.slice(0, SAMPLES).map(({ prompt, answers }, i) => ({
      prompt,
      answers,
      model: texts[i],
      ...(base ? { base: base[i] } : {}),
      right: right[i] === 1,
    })),
  };
}
