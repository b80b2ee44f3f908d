import { CalibrantError, type RunOptions } from '@calibrant/core';
import { type NeedleResult, needleItems, needleResult } from '@calibrant/eval';
import type { OpenedModel } from './open-models.js';
import { readText } from './read-text.js';
import { scoreItems } from './run-tasks.js';

/** The long-context check. */
export interface NeedleRequest {
  /** Tokens of the prompts; a quarter, a half and all of the model's positions, at most 4096, if absent. */
  readonly lengths?: readonly number[];
  /** 0 to 1; 0, 0.25, 0.5, 0.75, 1 if absent. */
  readonly depths?: readonly number[];
  /** Facts per length and depth; 8 if absent. */
  readonly trials?: number;
  /** A UTF-8 text to hide the facts in; a text of our own if absent. */
  readonly text?: string;
}

export async function runNeedle(
  { lengths, depths, trials, text }: NeedleRequest,
  model: OpenedModel,
  base: OpenedModel | undefined,
  { seed, ...options }: RunOptions & { readonly seed: number },
): Promise<NeedleResult> {
  const { maxPositions = 4096 } = model.transformer.description;
  const most = Math.min(4096, maxPositions);
  const wanted = lengths ?? [most / 4, most / 2, most].map(Math.floor);
  const long = wanted.find((length) => length > maxPositions);
  if (long !== undefined)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${model.reference} has ${maxPositions} positions, fewer than the ${long} tokens of the long-context check.`,
      {
        option: '--needle',
      },
    );
  const filler = text === undefined ? undefined : (await readText(text)).text;
  const items = needleItems({
    tokenizer: model.tokenizer,
    lengths: wanted,
    seed,
    ...(depths === undefined ? {} : { depths }),
    ...(trials === undefined ? {} : { trials }),
    ...(filler === undefined ? {} : { filler }),
  });
  const score = async (opened: OpenedModel) => (await scoreItems(opened, items, 'the hidden facts', options)).scored;
  return needleResult(items, await score(model), base && (await score(base)));
}
