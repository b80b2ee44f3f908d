import { type Backend, CalibrantError, type Registry, type RunOptions } from '@calibrant/core';
import type { Evaluation } from '@calibrant/eval';
import { describePlan, type ExecutionNames } from '../execution/named-plan.js';
import { evaluateOnText, type TextOptions } from './evaluate-text.js';
import { withModels } from './open-models.js';
import { versions } from './versions.js';

export interface EvaluateOptions extends RunOptions, Partial<TextOptions> {
  readonly model: string;
  /** The full-precision model to compare with. */
  readonly base?: string;
  /** How to run the model, instead of as it asks for: W8A8 and quantized caches of any model, simulated. */
  readonly execution?: ExecutionNames;
  /** Of everything that is drawn; 0 if absent. */
  readonly seed?: number;
  readonly registry: Registry;
  readonly backend: Backend;
}

/** An evaluation on a text. */
export type EvaluationOnText = Evaluation & Required<Pick<Evaluation, 'perplexity' | 'calibration'>>;

/**
 * Measures a model: on a text its perplexity and calibration, and with `base` how far its predictions are from the full-precision model's.
 *
 * @throws CalibrantError for a text that is missing, empty or not UTF-8, for windows longer than the model's positions, and for models with different tokenizers.
 */
export async function evaluateModel(options: EvaluateOptions & { readonly text: string }): Promise<EvaluationOnText>;
export async function evaluateModel(options: EvaluateOptions): Promise<Evaluation>;
export async function evaluateModel(options: EvaluateOptions): Promise<Evaluation> {
  const started = performance.now();
  checkCombination(options);
  const { text, seed = 0, backend } = options;
  return withModels([options.model, options.base], options, async (model, base) => {
    const onText = text === undefined ? undefined : await evaluateOnText({ ...options, text }, model!, base);
    const { text: described, base: stored, ...figures } = onText ?? {};
    const execution = describePlan(model!.transformer.execution);
    const identity = base ? await base.identity() : stored;
    return {
      schemaVersion: 1,
      model: options.model,
      ...(options.base === undefined ? {} : { base: options.base }),
      ...(execution ? { execution } : {}),
      ...figures,
      provenance: {
        model: await model!.identity(),
        ...(identity ? { base: identity } : {}),
        ...(described ? { text: described } : {}),
        seed,
        versions: versions(),
        backend: backend.description,
        finished: new Date().toISOString(),
      },
      seconds: (performance.now() - started) / 1000,
    };
  });
}

/** @throws CalibrantError `INVALID_ARGUMENT` for options that need others */
function checkCombination({ text, baseLogits, saveBaseLogits }: EvaluateOptions): void {
  const wrong = (message: string, option: string) => new CalibrantError('INVALID_ARGUMENT', message, { option });
  if (text === undefined) throw wrong('There is nothing to measure on. Give a text with --text FILE.', '--text');
  if (baseLogits !== undefined && saveBaseLogits !== undefined)
    throw wrong('--base-logits reads the logits of the base and --save-base-logits writes them: give one of them.', '--save-base-logits');
}
