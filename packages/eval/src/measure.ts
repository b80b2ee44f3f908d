import { type Backend, CalibrantError, type Metric, parseOptions, type RunOptions } from '@calibrant/core';
import { allOf, forEachWindow } from './for-each-window.js';
import type { LanguageModel } from './language-model.js';
import type { TokenWindows } from './token-windows.js';

export interface MeasureOptions extends RunOptions {
  readonly backend: Backend;
  readonly model: LanguageModel;
  /** The full-precision model, for metrics that need it. */
  readonly reference?: LanguageModel;
  readonly windows: TokenWindows;
  readonly metrics: readonly { readonly metric: Metric; readonly options?: unknown }[];
  /** Windows whose hidden states are held at a time. If absent as many as 256 MiB hold, at most 64. */
  readonly batchWindows?: number;
}

/**
 * Any metrics, yours included, in one pass over the text. The result holds each metric's figures by its name.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` when a metric needs the full-precision model and none is given; `INVALID_RECIPE` for bad options.
 */
export async function measure({ metrics, ...options }: MeasureOptions): Promise<Record<string, Readonly<Record<string, number>>>> {
  const needing = metrics.find(({ metric }) => metric.needsReference && !options.reference);
  if (needing)
    throw new CalibrantError('INVALID_ARGUMENT', `The metric "${needing.metric.name}" needs the full-precision model: give \`reference\`.`);
  const runs = metrics.map(({ metric, options: chosen }) => ({
    name: metric.name,
    run: metric.start(options.backend, parseOptions(metric.options, chosen ?? {}, metric.name)),
  }));
  await forEachWindow({ ...options, phase: 'Measuring' }, async (window) => {
    await allOf(runs.map(({ run }) => run.add(window)));
  });
  return Object.fromEntries(runs.map(({ name, run }) => [name, run.finish()]));
}
