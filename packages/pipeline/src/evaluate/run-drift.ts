import { CalibrantError, type RunOptions } from '@calibrant/core';
import { type DriftFigures, drift } from '@calibrant/eval';
import { addedBos } from './cut-text.js';
import { checkVocabulary, type OpenedModel } from './open-models.js';
import { readText } from './read-text.js';
import { continueGreedily } from './write-texts.js';

/** How long greedy texts of the model and the base stay the same. */
export interface DriftRequest {
  /** Prompts, cut from the text at even distances; 32 if absent. */
  readonly prompts?: number;
  /** Tokens of each prompt; 32 if absent. */
  readonly promptTokens?: number;
  /** Tokens that are generated; 64 if absent. */
  readonly tokens?: number;
}

export async function runDrift(
  { prompts: wanted = 32, promptTokens = 32, tokens = 64 }: DriftRequest,
  text: string | undefined,
  model: OpenedModel,
  base: OpenedModel | undefined,
  options: RunOptions,
): Promise<DriftFigures> {
  if (!base || text === undefined)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      'Drift compares what two models write behind pieces of a text. Give --base MODEL and --text FILE.',
      {
        option: base ? '--text' : '--base',
      },
    );
  checkVocabulary(model, base);
  const ids = model.tokenizer.encode((await readText(text)).text);
  const count = Math.min(wanted, Math.floor(ids.length / promptTokens));
  if (count < 1)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${text} has ${ids.length} tokens, fewer than the ${promptTokens} of one prompt. Give a longer text.`,
      { file: text },
    );
  const first = addedBos(model.tokenizer);
  const prompts = Array.from({ length: count }, (_, i) => {
    const start = Math.floor((i * (ids.length - promptTokens)) / Math.max(1, count - 1));
    const piece = ids.subarray(start, start + promptTokens);
    return first === undefined ? piece : Int32Array.of(first, ...piece);
  });
  const ofBase = await continueGreedily(base, prompts, tokens, options);
  return drift(ofBase, await continueGreedily(model, prompts, tokens, options), tokens);
}
