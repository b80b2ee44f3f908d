/**
 * How good a quantized model is: perplexity, and its distance from the full-precision model.
 * @module
 */

export type { BaseIdentity, BaseLogitsHeader } from './base-logits/layout.js';
export { type OpenBaseLogitsOptions, openBaseLogits } from './base-logits/open-base-logits.js';
export { type BaseLogitsSink, type WriteBaseLogitsOptions, writeBaseLogits } from './base-logits/write-base-logits.js';
export {
  type CalibrationFigures,
  type CalibrationOptions,
  calibrationError,
  type ReliabilityBin,
} from './calibration/calibration-error.js';
export { type CompareOptions, type Comparison, compare } from './compare.js';
export type { Evaluation, ModelIdentity, Provenance } from './evaluation.js';
export { type DriftFigures, drift } from './generation/drift.js';
export { klDivergence } from './kernels/kl-divergence.js';
export { decodeLogProbabilities, encodeLogProbabilities } from './kernels/log-probabilities.js';
export { negativeLogLikelihood } from './kernels/negative-log-likelihood.js';
export { tokenScores } from './kernels/token-scores.js';
export { topOverlap } from './kernels/top-overlap.js';
export type { BaseLogits, LanguageModel } from './language-model.js';
export { type MeasureOptions, measure } from './measure.js';
export { klDivergenceMetric, sameTopMetric } from './metrics/kl-divergence.js';
export { type PerplexityMetricOptions, perplexityMetric } from './metrics/perplexity.js';
export { type NeedleCell, type NeedleFigures, type NeedleResult, needleResult } from './needle/needle-figures.js';
export { DEPTHS, type NeedleItem, type NeedleOptions, needleItems } from './needle/needle-items.js';
export { type PerplexityOptions, type PerplexityResult, perplexity } from './perplexity.js';
export type { TokenScores } from './scores/token-scores.js';
export { type Estimate, type Histogram, type Percentile, type WilsonInterval, wilson } from './statistics.js';
export { type ChoiceItem, type ChoiceOption, choiceItem, readChoiceRow, type TaskRow } from './tasks/choice-item.js';
export type { EncodeLimits, TaskTokenizer } from './tasks/encode-option.js';
export { promptWithExamples, withExamples } from './tasks/few-shot.js';
export { type GenerationItem, isAnswer, type Match, readGenerationRow } from './tasks/generation-task.js';
export { type ChoiceMetric, KNOWN_TASKS, type KnownTask } from './tasks/known-tasks.js';
export {
  type ChoiceFigures,
  choiceFigures,
  type MultipleChoiceOptions,
  type ScoredItem,
  scoreChoices,
} from './tasks/multiple-choice.js';
export { comparePairs, mcNemar, type PairedComparison, type Proportion, proportion } from './tasks/paired.js';
export {
  type ChoiceResult,
  choiceResult,
  type GenerationResult,
  type GroupResult,
  generationResult,
  type TaskResult,
  type TaskSource,
} from './tasks/task-results.js';
export type { DivergenceFigures } from './text/divergence-figures.js';
export { type EvaluateTextOptions, evaluateText, type TextEvaluation } from './text/evaluate-text.js';
export type { PerplexityFigures, TextPart } from './text/perplexity-figures.js';
export { type CutOptions, cutWindows, type Protocol, parseProtocol, type TokenWindows } from './token-windows.js';
