import type { Backend, RunOptions } from '@calibrant/core';
import { forEachWindow } from './for-each-window.js';
import type { LanguageModel } from './language-model.js';
import { startPerplexity } from './metrics/perplexity.js';
import type { PerplexityFigures } from './text/perplexity-figures.js';
import { protocolOf, type TokenWindows } from './token-windows.js';

export interface PerplexityOptions extends RunOptions {
  readonly backend: Backend;
  readonly model: LanguageModel;
  /** Made by `cutWindows`. */
  readonly windows: TokenWindows;
  /** Windows whose hidden states are held at a time. If absent as many as 256 MiB hold, at most 64. */
  readonly batchWindows?: number;
}

export interface PerplexityResult extends PerplexityFigures {
  /** `windowed-512` or another of `parseProtocol`. */
  readonly protocol: string;
}

/**
 * Perplexity of a model on a text, by the protocol of {@link cutWindows}: the mean of all scored tokens' negative log likelihoods in f64. One window of
 * logits per lane is in memory at a time. Figures of models with different vocabularies are not comparable; their bits per byte are.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for tokens that the model does not know, `NON_FINITE` when logits are NaN, `ABORTED`.
 * @example
 * const { perplexity, standardError } = await perplexity({ backend, model, windows: cutWindows(ids) });
 */
export async function perplexity({ backend, windows, ...options }: PerplexityOptions): Promise<PerplexityResult> {
  const run = startPerplexity(backend, windows);
  await forEachWindow({ ...options, backend, windows, phase: 'Measuring perplexity' }, run.add);
  return { ...run.figures(), protocol: protocolOf(windows) };
}
