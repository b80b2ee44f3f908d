import { CalibrantError } from '@calibrant/core';
import { type CalibrationFigures, calibrationError } from '../calibration/calibration-error.js';
import type { ChoiceItem } from './choice-item.js';
import { type EncodeLimits, encodeOption, type TaskTokenizer } from './encode-option.js';
import type { ChoiceMetric } from './known-tasks.js';
import { type Proportion, proportion } from './paired.js';
import { type OptionScore, type ScoreOptions, scoreOptions } from './score-options.js';

/** A model's log-likelihoods of an item's options. */
export interface ScoredItem {
  readonly answer: number;
  readonly group?: string;
  readonly options: readonly (OptionScore & {
    readonly tokens: number;
    /** Unicode characters and UTF-8 bytes of the choice without the space before it. */
    readonly characters: number;
    readonly bytes: number;
  })[];
}

export interface MultipleChoiceOptions extends Omit<ScoreOptions, 'phase'>, EncodeLimits {
  readonly tokenizer: TaskTokenizer;
  readonly items: readonly ChoiceItem[];
  /** For messages and progress. */
  readonly name?: string;
}

export interface ChoiceFigures {
  /** The option with the largest log-likelihood is right. */
  readonly accuracy: Proportion;
  /** Log-likelihoods over the characters (`acc_norm` of lm-evaluation-harness), the bytes and the tokens of their choices. */
  readonly accuracyPerCharacter: Proportion;
  readonly accuracyPerByte: Proportion;
  readonly accuracyPerToken: Proportion;
  /** What guessing gives. */
  readonly chance: number;
  /** Of the probabilities of the options among themselves. */
  readonly calibration: CalibrationFigures;
}

/**
 * Scores a multiple-choice task.
 *
 * @returns per item the options' log-likelihoods, and how many options lost the beginning of their context
 * @throws CalibrantError `INVALID_ARGUMENT` for no items, choices without tokens or too long for the model
 * @example
 * const { scored } = await scoreChoices({ backend, model, tokenizer, items });
 * choiceFigures(scored).accuracy.value;
 */
export async function scoreChoices(options: MultipleChoiceOptions): Promise<{ readonly scored: ScoredItem[]; readonly cut: number }> {
  const { items, tokenizer, maxPositions, bosTokenId, fallbackToken, name = 'task', ...run } = options;
  if (items.length === 0) throw new CalibrantError('INVALID_ARGUMENT', `${name} has no items.`);
  const limits = Object.fromEntries(
    Object.entries({ maxPositions, bosTokenId, fallbackToken }).filter(([, value]) => value !== undefined),
  ) as EncodeLimits;
  const remembering = rememberLast(tokenizer);
  const encoded = items.map((item, i) =>
    item.options.map((option) => encodeOption(option, remembering, limits, `item ${i + 1} of ${name}`)),
  );
  const scores = await scoreOptions(encoded.flat(), { ...run, phase: `Scoring ${name}` });
  let at = 0;
  const scored = items.map((item, i) => ({
    answer: item.answer,
    ...(item.group === undefined ? {} : { group: item.group }),
    options: item.options.map(({ continuation }, j) => {
      const choice = continuation.trimStart();
      return {
        ...scores[at++],
        tokens: encoded[i][j].targets.length,
        characters: [...choice].length,
        bytes: new TextEncoder().encode(choice).length,
      };
    }),
  }));
  return { scored, cut: encoded.flat().filter(({ cut }) => cut).length };
}

/** The options of an item mostly share their context: the ids of the last texts are kept. */
function rememberLast(tokenizer: TaskTokenizer): TaskTokenizer {
  const recent = new Map<string, Int32Array>();
  return {
    encode(text) {
      const ids = recent.get(text) ?? tokenizer.encode(text);
      // The least recently used goes first.
      recent.delete(text);
      recent.set(text, ids);
      if (recent.size > 4) recent.delete(recent.keys().next().value!);
      return ids;
    },
  };
}

/** What log-likelihoods are divided by. */
const LENGTH: Readonly<Record<ChoiceMetric, (option: ScoredItem['options'][number]) => number>> = {
  accuracy: () => 1,
  accuracyPerCharacter: ({ characters }) => Math.max(1, characters),
  accuracyPerByte: ({ bytes }) => Math.max(1, bytes),
  accuracyPerToken: ({ tokens }) => tokens,
};

/** The chosen option of each item by a metric, and whether it is right. Of equals the first is chosen. */
export function choicesOf(scored: readonly ScoredItem[], metric: ChoiceMetric): { readonly answers: number[]; readonly right: number[] } {
  const answers = scored.map(({ options }) => {
    const values = options.map((option) => option.logLikelihood / LENGTH[metric](option));
    return values.indexOf(Math.max(...values));
  });
  return { answers, right: answers.map((answer, i) => (answer === scored[i].answer ? 1 : 0)) };
}

export function choiceFigures(scored: readonly ScoredItem[]): ChoiceFigures {
  const probabilities = scored.map(({ options }) => {
    const top = Math.max(...options.map(({ logLikelihood }) => logLikelihood));
    const weights = options.map(({ logLikelihood }) => Math.exp(logLikelihood - top));
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum);
  });
  const { right } = choicesOf(scored, 'accuracy');
  const confidences = probabilities.map((row) => Math.max(...row));
  const brier = probabilities.map((row, i) => row.reduce((sum, p, j) => sum + (p - (j === scored[i].answer ? 1 : 0)) ** 2, 0));
  return {
    accuracy: proportion(right),
    accuracyPerCharacter: proportion(choicesOf(scored, 'accuracyPerCharacter').right),
    accuracyPerByte: proportion(choicesOf(scored, 'accuracyPerByte').right),
    accuracyPerToken: proportion(choicesOf(scored, 'accuracyPerToken').right),
    chance: scored.reduce((sum, { options }) => sum + 1 / options.length, 0) / scored.length,
    calibration: calibrationError(confidences, right, { brier }),
  };
}
