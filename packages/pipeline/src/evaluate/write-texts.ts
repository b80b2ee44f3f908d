import type { RunOptions } from '@calibrant/core';
import { generate } from '@calibrant/transformer';
import { addedBos } from './cut-text.js';
import type { OpenedModel } from './open-models.js';

/** Greedy continuations: the new tokens of each prompt, at most `maxTokens`, ended by the model's end token (which is left out). */
export async function continueGreedily(
  { transformer, tokenizer }: OpenedModel,
  prompts: readonly Int32Array[],
  maxTokens: number,
  { onEvent, signal }: RunOptions,
): Promise<Int32Array[]> {
  const room = roomFor(transformer, maxTokens);
  const fitting = prompts.map((ids) => ids.subarray(Math.max(0, ids.length - room)));
  const length = Math.max(...fitting.map((ids) => ids.length)) + maxTokens;
  const end = tokenizer.eosTokenId;
  const written = await generate(transformer, {
    prompts: fitting,
    length,
    maxNewTokens: maxTokens,
    ...(end === undefined ? {} : { stopTokens: [end] }),
    ...(onEvent ? { onEvent } : {}),
    ...(signal ? { signal } : {}),
  });
  return written.map((ids, i) => {
    const added = ids.subarray(fitting[i].length);
    return added[added.length - 1] === end ? added.subarray(0, -1) : added;
  });
}

/** Tokens of a prompt that the model can continue. */
function roomFor({ description: { maxPositions = Infinity } }: OpenedModel['transformer'], maxTokens: number): number {
  return Math.max(1, maxPositions - maxTokens);
}

/** Greedy continuations of texts, as texts, and how many prompts were too long and lost their beginning. */
export async function writeTexts(
  model: OpenedModel,
  prompts: readonly string[],
  maxTokens: number,
  options: RunOptions,
): Promise<{ readonly texts: string[]; readonly cut: number }> {
  const { tokenizer } = model;
  const first = addedBos(tokenizer);
  const encoded = prompts.map((prompt) => {
    const ids = tokenizer.encode(prompt);
    return first === undefined ? ids : Int32Array.of(first, ...ids);
  });
  const written = await continueGreedily(model, encoded, maxTokens, options);
  const room = roomFor(model.transformer, maxTokens);
  return {
    texts: written.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true })),
    cut: encoded.filter(({ length }) => length > room).length,
  };
}
