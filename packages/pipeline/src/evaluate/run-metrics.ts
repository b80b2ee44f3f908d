import type { Registry, RunOptions } from '@calibrant/core';
import { measure } from '@calibrant/eval';
import { checkPositions, cutText } from './cut-text.js';
import type { TextOptions } from './evaluate-text.js';
import type { OpenedModel } from './open-models.js';
import { readText } from './read-text.js';

/** Runs metrics of plug-ins, with their default options, in a pass of their own. */
export async function runMetrics(
  {
    metrics,
    registry,
    onEvent,
    signal,
    ...options
  }: TextOptions & RunOptions & { readonly metrics: readonly string[]; readonly registry: Registry },
  model: OpenedModel,
  base: OpenedModel | undefined,
): Promise<Record<string, Readonly<Record<string, number>>>> {
  const { windows } = cutText(await readText(options.text), model.tokenizer, options);
  checkPositions(windows, model.transformer);
  return measure({
    backend: model.transformer.backend,
    model: model.transformer,
    ...(base ? { reference: base.transformer } : {}),
    windows,
    metrics: metrics.map((name) => ({ metric: registry.get('metric', name) })),
    ...(onEvent ? { onEvent } : {}),
    ...(signal ? { signal } : {}),
  });
}
