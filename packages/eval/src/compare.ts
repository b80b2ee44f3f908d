import type { Backend, RunOptions } from '@calibrant/core';
import type { BaseLogits, LanguageModel } from './language-model.js';
import type { DivergenceFigures } from './text/divergence-figures.js';
import { evaluateText } from './text/evaluate-text.js';
import type { PerplexityFigures } from './text/perplexity-figures.js';
import type { TokenWindows } from './token-windows.js';

export interface CompareOptions extends RunOptions {
  readonly backend: Backend;
  /** The full-precision model, or its logits from `openBaseLogits`. */
  readonly base: LanguageModel | BaseLogits;
  readonly quantized: LanguageModel;
  /** Made by `cutWindows`. */
  readonly windows: TokenWindows;
  /** Windows whose hidden states are held at a time. If absent as many as 256 MiB hold, at most 64. */
  readonly batchWindows?: number;
}

export interface Comparison extends DivergenceFigures {
  readonly base: PerplexityFigures;
  readonly quantized: PerplexityFigures;
  readonly protocol: string;
}

/**
 * Runs a model and its full-precision self over the same windows and compares their predictions at every scored position:
 * Kullback-Leibler divergence `KL(base ‖ quantized)` in nats, how often both find the same token most likely, and both perplexities. {@link evaluateText} with the
 * divergence alone. Two windows of logits per lane are in memory at a time.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` when the vocabularies differ, and what `perplexity` throws.
 * @example
 * const { meanKl, sameTop } = await compare({ backend, base, quantized, windows: cutWindows(ids) });
 */
export async function compare({ quantized, ...options }: CompareOptions): Promise<Comparison> {
  const { perplexity, base, divergence, protocol } = await evaluateText({ ...options, model: quantized });
  return { ...divergence!, base: base!.perplexity, quantized: perplexity, protocol };
}
