import { type Backend, CalibrantError, nearest, type Registry, type RunOptions } from '@calibrant/core';
import type { Evaluation, TaskResult } from '@calibrant/eval';
import { describePlan, type ExecutionNames } from '../execution/named-plan.js';
import { evaluateOnText, type TextOptions, type TextResult } from './evaluate-text.js';
import { findTask, type LoadedTask, loadTask } from './load-task.js';
import { type OpenedModel, withModels } from './open-models.js';
import { type DriftRequest, runDrift } from './run-drift.js';
import { runMetrics } from './run-metrics.js';
import { type NeedleRequest, runNeedle } from './run-needle.js';
import { runTask } from './run-tasks.js';
import { checkExamples, type ExampleOptions } from './task-examples.js';
import { versions } from './versions.js';

export interface EvaluateOptions extends RunOptions, Partial<TextOptions>, ExampleOptions {
  readonly model: string;
  /** The full-precision model to compare with. */
  readonly base?: string;
  /** How to run the model, instead of as it asks for: W8A8 and quantized caches of any model, simulated. */
  readonly execution?: ExecutionNames;
  /**
   * What to measure: `perplexity`, `divergence` and `calibration` on the text, `drift`, `needle`, and any registered metric plug-in on the text. Everything that the text and
   * the base allow if absent, but drift and needle.
   */
  readonly metrics?: readonly string[];
  /** Tasks: names of public data sets, `NAME=FILE`, or files. */
  readonly tasks?: readonly string[];
  /** At most so many items of each task, drawn by the seed. */
  readonly limit?: number;
  /** Tokens of a generated answer; 64 if absent. */
  readonly maxTokens?: number;
  readonly needle?: NeedleRequest;
  readonly drift?: DriftRequest;
  /** Of everything that is drawn; 0 if absent. */
  readonly seed?: number;
  readonly registry: Registry;
  readonly backend: Backend;
}

/** An evaluation on a text. */
export type EvaluationOnText = Evaluation & Required<Pick<Evaluation, 'perplexity' | 'calibration'>>;

const OF_TEXT = ['perplexity', 'divergence', 'calibration'];
const OWN = [...OF_TEXT, 'drift', 'needle'];

/**
 * Measures a model: on a text its perplexity and calibration and, with `base`, how far its predictions are from the full-precision model's; on tasks; on facts hidden in
 * long texts; and how soon its greedy texts part from the base's. All input is checked before the first long computation.
 *
 * @throws CalibrantError for a text that is missing, empty or not UTF-8, for windows longer than the model's positions, for models with different tokenizers, and for tasks
 * with wrong rows.
 */
export async function evaluateModel(
  options: EvaluateOptions & { readonly text: string; readonly metrics?: undefined },
): Promise<EvaluationOnText>;
export async function evaluateModel(options: EvaluateOptions): Promise<Evaluation>;
export async function evaluateModel(options: EvaluateOptions): Promise<Evaluation> {
  const started = performance.now();
  const asked = checkRequest(options);
  const { seed = 0, backend } = options;
  checkExamples((options.tasks ?? []).map(findTask), options);
  const tasks: LoadedTask[] = [];
  for (const task of options.tasks ?? []) tasks.push(await loadTask(task, { ...options, seed }));
  return withModels([options.model, options.base], options, async (opened, base) => {
    const model = opened!;
    const { text, base: stored, ...figures } = await measureText(options, asked, model, base);
    const onTasks: TaskResult[] = [];
    for (const task of tasks) onTasks.push(await runTask(task, model, base, options));
    const needle = asked.needle ? await runNeedle(options.needle ?? {}, model, base, { ...options, seed }) : undefined;
    const drift = asked.drift ? await runDrift(options.drift ?? {}, options.text, model, base, options) : undefined;
    const execution = describePlan(model.transformer.execution);
    const identity = base ? await base.identity() : stored;
    return {
      schemaVersion: 1,
      model: options.model,
      ...(options.base === undefined ? {} : { base: options.base }),
      ...(execution ? { execution } : {}),
      ...figures,
      ...(onTasks.length > 0 ? { tasks: onTasks } : {}),
      ...(needle ? { needle } : {}),
      ...(drift ? { drift } : {}),
      provenance: {
        model: await model.identity(),
        ...(identity ? { base: identity } : {}),
        ...(text ? { text } : {}),
        seed,
        versions: versions(),
        backend: backend.description,
        finished: new Date().toISOString(),
      },
      seconds: (performance.now() - started) / 1000,
    };
  });
}

interface Asked {
  readonly ofText: ReadonlySet<string>;
  /** Metrics of plug-ins. */
  readonly others: readonly string[];
  readonly drift: boolean;
  readonly needle: boolean;
}

async function measureText(
  options: EvaluateOptions,
  { ofText, others }: Asked,
  model: OpenedModel,
  base: OpenedModel | undefined,
): Promise<Partial<TextResult> & Pick<Evaluation, 'metrics'>> {
  const { text } = options;
  if (text === undefined) return {};
  const metrics = others.length > 0 ? { metrics: await runMetrics({ ...options, text, metrics: others }, model, base) } : {};
  if (ofText.size === 0) return metrics;
  // A perplexity alone needs no second model.
  const compared = ofText.has('divergence') || ofText.has('calibration') || options.saveBaseLogits !== undefined;
  const { perplexity, comparison, calibration, ...described } = await evaluateOnText(
    { ...options, text },
    model,
    compared ? base : undefined,
  );
  return {
    ...described,
    ...(perplexity && ofText.has('perplexity') ? { perplexity } : {}),
    ...(comparison && ofText.has('divergence') ? { comparison } : {}),
    ...(calibration && ofText.has('calibration') ? { calibration } : {}),
    ...metrics,
  };
}

/** @throws CalibrantError `INVALID_ARGUMENT` for options that need others, `UNKNOWN_NAME` for metrics that nobody provides */
function checkRequest(options: EvaluateOptions): Asked {
  const { text, base, baseLogits, saveBaseLogits, metrics = OF_TEXT, tasks = [], registry } = options;
  const wrong = (message: string, option: string) => new CalibrantError('INVALID_ARGUMENT', message, { option });
  const known = [...OWN, ...registry.list('metric').map(({ name }) => name)];
  const unknown = metrics.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const close = nearest(unknown, known);
    throw new CalibrantError(
      'UNKNOWN_NAME',
      `There is no metric "${unknown}".${close ? ` Did you mean "${close}"?` : ''} Known: ${known.join(', ')}.`,
      {
        option: '--metrics',
      },
    );
  }
  const asked: Asked = {
    ofText: new Set(metrics.filter((name) => OF_TEXT.includes(name))),
    others: metrics.filter((name) => !OWN.includes(name)),
    drift: options.drift !== undefined || metrics.includes('drift'),
    needle: options.needle !== undefined || metrics.includes('needle'),
  };
  if (text === undefined && options.metrics !== undefined && asked.ofText.size + asked.others.length > 0)
    throw wrong(`${metrics.join(', ')}: a text is needed to measure on. Give one with --text FILE.`, '--text');
  if (text === undefined && tasks.length === 0 && !asked.needle)
    throw wrong('There is nothing to measure on. Give a text with --text FILE, a task with --task, or --needle.', '--text');
  if (options.metrics?.includes('divergence') && base === undefined && baseLogits === undefined)
    throw wrong('divergence is a distance from the full-precision model. Give it with --base MODEL or --base-logits FILE.', '--base');
  if (baseLogits !== undefined && saveBaseLogits !== undefined)
    throw wrong('--base-logits reads the logits of the base and --save-base-logits writes them: give one of them.', '--save-base-logits');
  if ((baseLogits ?? saveBaseLogits) !== undefined && text === undefined)
    throw wrong('Base logits are those of a text. Give it with --text FILE.', '--text');
  return asked;
}
