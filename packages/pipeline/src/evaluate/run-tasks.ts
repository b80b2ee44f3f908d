import type { RunOptions } from '@calibrant/core';
import { type ChoiceItem, choiceResult, generationResult, scoreChoices, type TaskResult } from '@calibrant/eval';
import { addedBos } from './cut-text.js';
import type { LoadedTask } from './load-task.js';
import type { OpenedModel } from './open-models.js';
import { writeTexts } from './write-texts.js';

const MAX_TOKENS = 64;

/** Runs a task on the model, and on the base if there is one. */
export async function runTask(
  task: LoadedTask,
  model: OpenedModel,
  base: OpenedModel | undefined,
  { maxTokens = MAX_TOKENS, ...options }: RunOptions & { readonly maxTokens?: number },
): Promise<TaskResult> {
  if (task.kind === 'choice') {
    const score = (opened: OpenedModel) => scoreItems(opened, task.items, task.source.name, options);
    return choiceResult(task.source, task.metric, await score(model), base && (await score(base)));
  }
  const write = (opened: OpenedModel) =>
    writeTexts(
      opened,
      task.items.map(({ prompt }) => prompt),
      maxTokens,
      options,
    );
  const { texts, cut } = await write(model);
  return generationResult(task.source, maxTokens, task.items, texts, base && (await write(base)).texts, cut);
}

/** Scores multiple-choice items by a model with its own tokenizer. */
export async function scoreItems({ transformer, tokenizer }: OpenedModel, items: readonly ChoiceItem[], name: string, options: RunOptions) {
  const { maxPositions } = transformer.description;
  const bosTokenId = addedBos(tokenizer);
  const fallbackToken = tokenizer.bosTokenId ?? tokenizer.eosTokenId;
  return scoreChoices({
    ...options,
    backend: transformer.backend,
    model: transformer,
    tokenizer,
    items,
    name,
    ...(maxPositions === undefined ? {} : { maxPositions }),
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(fallbackToken === undefined ? {} : { fallbackToken }),
  });
}
