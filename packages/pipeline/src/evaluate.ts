import { readFile } from 'node:fs/promises';
import { type Backend, CalibrantError, type Checkpoint, type Registry, type RunOptions } from '@calibrant/core';
import { compare, cutWindows, type DivergenceFigures, type PerplexityResult, perplexity, type TokenWindows } from '@calibrant/eval';
import { openTokenizer, type Transformer } from '@calibrant/transformer';
import { openModel } from './open-model.js';
import { openRegistered } from './open-transformer.js';

export interface EvaluateOptions extends RunOptions {
  readonly model: string;
  /** The full-precision model to compare with. */
  readonly base?: string;
  /** Path of a UTF-8 text. */
  readonly text: string;
  readonly maxWindows?: number;
  /** Tokens per window, 512 if absent. */
  readonly windowSize?: number;
  readonly registry: Registry;
  readonly backend: Backend;
}

export interface EvaluationResult {
  readonly model: string;
  readonly text: string;
  readonly perplexity: PerplexityResult;
  readonly comparison?: DivergenceFigures & { readonly base: string; readonly basePerplexity: number };
  readonly seconds: number;
}

/**
 * Measures a model on a text, and with `base` how far its predictions are from the full-precision model's.
 *
 * @throws CalibrantError for a text that is missing, empty or not UTF-8, for windows longer than the model's positions, and for models with different tokenizers.
 */
export async function evaluateModel(options: EvaluateOptions): Promise<EvaluationResult> {
  const { registry, backend, onEvent, signal } = options;
  const started = performance.now();
  const text = await readText(options.text);
  const opened: Checkpoint[] = [];
  const open = async (reference: string) => {
    const checkpoint = await openModel(reference, options);
    opened.push(checkpoint);
    return checkpoint;
  };
  try {
    const checkpoint = await open(options.model);
    const ids = (await openTokenizer(checkpoint)).encode(text);
    const windows = cutWindows(ids, {
      bytes: Buffer.byteLength(text),
      ...(options.maxWindows === undefined ? {} : { maxWindows: options.maxWindows }),
      ...(options.windowSize === undefined ? {} : { length: options.windowSize }),
    });
    const transformer = openRegistered(checkpoint, backend, registry);
    checkPositions(windows, transformer);
    const run = { backend, windows, ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) };
    const finish = (result: Omit<EvaluationResult, 'model' | 'text' | 'seconds'>): EvaluationResult => ({
      model: options.model,
      text: options.text,
      ...result,
      seconds: (performance.now() - started) / 1000,
    });
    try {
      if (options.base === undefined) return finish({ perplexity: await perplexity({ ...run, model: transformer }) });
      const baseCheckpoint = await open(options.base);
      checkSameTokens(ids, (await openTokenizer(baseCheckpoint)).encode(text), options);
      const base = openRegistered(baseCheckpoint, backend, registry);
      checkPositions(windows, base);
      try {
        const result = await compare({ ...run, base, quantized: transformer });
        const { base: ofBase, quantized, protocol, ...divergence } = result;
        return finish({
          perplexity: { ...quantized, protocol },
          comparison: { ...divergence, base: options.base, basePerplexity: ofBase.perplexity },
        });
      } finally {
        await base.release();
      }
    } finally {
      await transformer.release();
    }
  } finally {
    await Promise.all(opened.map((checkpoint) => checkpoint.close()));
  }
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new CalibrantError(
      'NOT_FOUND',
      `Cannot read the text ${file}: ${(cause as NodeJS.ErrnoException).code}. Give the path of a UTF-8 text file.`,
      { file, cause },
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CalibrantError('INVALID_ARGUMENT', `The text ${file} is not valid UTF-8. Convert it first, for example with iconv.`, {
      file,
      cause,
    });
  }
}

function checkPositions({ windows: [longest] }: TokenWindows, { description: { maxPositions = Infinity }, checkpoint }: Transformer): void {
  if (longest.length <= maxPositions) return;
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `Windows of ${longest.length} tokens are longer than the ${maxPositions} positions of ${checkpoint.name}. Use --window-size ${maxPositions} or less.`,
    { option: '--window-size' },
  );
}

function checkSameTokens(ids: ArrayLike<number>, ofBase: ArrayLike<number>, { model, base }: EvaluateOptions): void {
  if (ids.length === ofBase.length && Array.prototype.every.call(ids, (id, i) => id === ofBase[i])) return;
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `${model} and ${base} tokenize the text differently (${ids.length} and ${ofBase.length} tokens), so their predictions cannot be compared. Give the full-precision model that ${model} was made from.`,
    { option: '--base' },
  );
}
