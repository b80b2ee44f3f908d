import { CalibrantError, type RunOptions } from '@calibrant/core';
import { type Evaluation, evaluateText, type ModelIdentity, type TextEvaluation } from '@calibrant/eval';
import { withBaseFile, withSavedBase } from './base-file.js';
import { type CutTextOptions, checkPositions, cutText } from './cut-text.js';
import { checkVocabulary, type OpenedModel } from './open-models.js';
import { readText } from './read-text.js';

export interface TextOptions extends CutTextOptions {
  /** Path of a UTF-8 text. */
  readonly text: string;
  /** A file of base logits that stands in for the base. */
  readonly baseLogits?: string;
  /** Where to put the logits of the base, or of the model when there is no base. */
  readonly saveBaseLogits?: string;
  /** k of the top-k overlap; 10 if absent. */
  readonly topCount?: number;
}

/** What an evaluation says of a text, and of the base where that is a file. */
export interface TextResult extends Pick<Evaluation, 'perplexity' | 'comparison' | 'calibration'> {
  readonly text: NonNullable<Evaluation['provenance']['text']>;
  readonly base?: ModelIdentity;
}

/** Measures on a text: the part of `evaluateModel` that needs one. */
export async function evaluateOnText(
  options: TextOptions & RunOptions,
  model: OpenedModel,
  base: OpenedModel | undefined,
): Promise<TextResult> {
  const text = await readText(options.text);
  const { windows, ids } = cutText(text, model.tokenizer, options);
  checkPositions(windows, model.transformer);
  if (base) {
    checkVocabulary(model, base);
    const ofBase = cutText(text, base.tokenizer, options).ids;
    if (ofBase.length !== ids.length || ofBase.some((id, i) => id !== ids[i]))
      throw differentTokens(model, base, ids.length, ofBase.length);
    checkPositions(windows, base.transformer);
  }
  const { backend } = model.transformer;
  const { onEvent, signal, topCount, baseLogits, saveBaseLogits } = options;
  const run = {
    backend,
    model: model.transformer,
    windows,
    ...(onEvent ? { onEvent } : {}),
    ...(signal ? { signal } : {}),
    ...(topCount === undefined ? {} : { topCount }),
  };
  const { file, bytes, sha256 } = text;
  const described = { text: { file, bytes, sha256, tokens: ids.length } };
  if (baseLogits !== undefined)
    return withBaseFile(baseLogits, { backend, windows, base: base && (await base.identity()) }, async (stored) => {
      const name = base?.reference ?? stored.header.base.name;
      const identity = {
        name: stored.header.base.name,
        files: [],
        ...(stored.header.base.sha256 ? { sha256: stored.header.base.sha256 } : {}),
      };
      return { ...described, ...figures(await evaluateText({ ...run, base: stored }), name), base: identity };
    });
  const compared = base ? { base: base.transformer } : {};
  const measure = async (save = {}) => ({
    ...described,
    ...figures(await evaluateText({ ...run, ...compared, ...save }), base?.reference),
  });
  if (saveBaseLogits === undefined) return measure();
  const source = base ?? model;
  const { vocabSize } = source.transformer.description;
  const saved = { file: saveBaseLogits, backend, windows, vocabSize, base: await source.identity(), text: sha256 };
  return withSavedBase({ ...saved, base: { name: saved.base.name, ...(saved.base.sha256 ? { sha256: saved.base.sha256 } : {}) } }, (save) =>
    measure({ save }),
  );
}

function figures(
  { perplexity, protocol, calibration, divergence, base }: TextEvaluation,
  name: string | undefined,
): Omit<TextResult, 'text' | 'base'> {
  const alone = {
    perplexity: { ...perplexity, protocol },
    calibration: { model: calibration, ...(base ? { base: base.calibration } : {}) },
  };
  if (!divergence || !base || name === undefined) return alone;
  const { perplexity: ofBase } = base;
  return { ...alone, comparison: { ...divergence, base: name, basePerplexity: ofBase.perplexity, baseFigures: ofBase } };
}

function differentTokens(model: OpenedModel, base: OpenedModel, ours: number, theirs: number): CalibrantError {
  return new CalibrantError(
    'INVALID_ARGUMENT',
    `${model.reference} and ${base.reference} tokenize the text differently (${ours} and ${theirs} tokens), so their predictions cannot be compared. Give the full-precision model that ${model.reference} was made from.`,
    { option: '--base' },
  );
}
