import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type CalibrationSet,
  calibrationSet,
  compareTokens,
  comparisonWarning,
  decodeText,
  type TokenComparison,
} from '@calibrant/calibrators';
import { openHubDataset, parseDatasetReference } from '@calibrant/checkpoint';
import { CalibrantError, type Recipe, type RunOptions, recipeSchema } from '@calibrant/core';
import { generate, openTokenizer, type Tokenizer, type Transformer } from '@calibrant/transformer';

type Options = NonNullable<Recipe['calibration']>;

export interface CalibrateInput extends RunOptions {
  readonly transformer: Transformer;
  /** A text that the model will be measured on: how far the calibration set is from it is warned about. */
  readonly compareText?: string | undefined;
}

/** What is said of a calibration set in reports and saved with the output. */
export interface CalibrationSummary {
  readonly source: string;
  /** The file, folder or data set, without folders of this machine. */
  readonly path?: string;
  readonly sequences: number;
  readonly tokens: number;
  /** Tokens that the sequences were chosen from. */
  readonly available: number;
  readonly mode: string;
  readonly seed: number;
  /** Of the tokens, and of the text. */
  readonly sha256?: string;
  readonly textSha256?: string;
  /** How far the set is from the evaluation text, where one was given. */
  readonly comparison?: TokenComparison;
}

export interface CalibrationTokens {
  readonly sequences: readonly Int32Array[];
  readonly summary: CalibrationSummary;
}

export interface Calibrated extends CalibrationTokens {
  readonly tokens: number;
  readonly source: string;
}

/** The calibration set that a recipe asks for; its warnings are passed on as events. */
export async function calibrate(calibration: Recipe['calibration'], input: CalibrateInput): Promise<Calibrated> {
  const { transformer, compareText, onEvent, signal } = input;
  const options = calibration ?? defaults();
  const { maxPositions, vocabSize, bosTokenId } = transformer.description;
  if (maxPositions !== undefined && options.length > maxPositions)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `Calibration sequences of ${options.length} tokens are longer than the ${maxPositions} positions of ${transformer.checkpoint.name}. Use --length ${maxPositions} or less.`,
      { option: 'recipe.calibration.length' },
    );
  const generator = {
    vocabSize,
    bosTokenId,
    generate: (wanted: Parameters<typeof generate>[1]) => generate(transformer, wanted),
  };
  const run = { ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) };
  const needsTokenizer = compareText !== undefined || calibrationSources(options).some((source) => !['self', 'random'].includes(source));
  const tokenizer = needsTokenizer ? await openTokenizer(transformer.checkpoint) : undefined;
  const downloadDataset = (name: string) => download(name, run);
  const set = await calibrationSet(options, { generator, vocabSize, downloadDataset, ...(tokenizer ? { tokenizer } : {}), ...run });
  for (const warning of set.warnings) onEvent?.({ warning, item: 'calibration' });
  const comparison = tokenizer && compareText !== undefined ? await compare(set, compareText, tokenizer) : undefined;
  const far = comparison && comparisonWarning(comparison);
  if (far) onEvent?.({ warning: far, item: 'calibration' });
  return { sequences: set.sequences, tokens: set.tokens, source: set.source, summary: summarize(set, options, comparison) };
}

async function compare(set: CalibrationSet, file: string, tokenizer: Tokenizer): Promise<TokenComparison> {
  const bytes = await readFile(file).catch((cause) => {
    throw new CalibrantError(
      'NOT_FOUND',
      `Cannot read the text to compare with, ${file}: ${cause.code}. Give the path of a UTF-8 text file.`,
      {
        file,
        option: '--compare-text',
        cause,
      },
    );
  });
  return compareTokens(set.sequences, [tokenizer.encode(decodeText(bytes, file))]);
}

/** Where sequences come from: one source, or those of a mixture. */
export function calibrationSources({ source, parts }: Pick<Options, 'source' | 'parts'>): string[] {
  return source === 'mixture' ? (parts ?? []).map((part) => part.source) : [source];
}

/** For people: `code.jsonl`, or of a mixture `notes.txt (share 2), self`. */
function pathOf({ source, path: where, parts = [] }: Options): { readonly path?: string } {
  const label = (one: { readonly source: string; readonly path?: string | undefined }) =>
    one.path === undefined ? one.source : one.source === 'hub' ? one.path : path.basename(one.path);
  if (source === 'mixture')
    return { path: parts.map((part) => `${label(part)}${part.share === 1 ? '' : ` (share ${part.share})`}`).join(', ') };
  return where === undefined ? {} : { path: label({ source, path: where }) };
}

function summarize(set: CalibrationSet, options: Options, comparison: TokenComparison | undefined): CalibrationSummary {
  const { source, sequences, tokens, available, mode, seed, sha256, textSha256 } = set;
  return {
    source,
    ...pathOf(options),
    sequences: sequences.length,
    tokens,
    available,
    mode,
    seed,
    ...(sha256 ? { sha256 } : {}),
    ...(textSha256 ? { textSha256 } : {}),
    ...(comparison ? { comparison } : {}),
  };
}

async function download(name: string, run: RunOptions): Promise<readonly string[]> {
  const reference = parseDatasetReference(name);
  if (!reference)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `"${name}" is not a data set of the Hub. Write org/name, org/name@revision or org/name:split.`,
      { option: 'calibration.path' },
    );
  const { files, filesOfSplit } = await openHubDataset(reference, run);
  if (files.length < filesOfSplit)
    run.onEvent?.({ warning: `${name}: the first ${files.length} of ${filesOfSplit} files are used.`, item: 'calibration' });
  return files;
}

function defaults(): Options {
  return recipeSchema.shape.calibration.unwrap().parse({});
}
