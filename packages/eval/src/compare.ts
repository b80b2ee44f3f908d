import type { Backend, RunOptions } from '@calibrant/core';
import { allOf, forEachWindow } from './for-each-window.js';
import type { LanguageModel } from './language-model.js';
import { type DivergenceFigures, startDivergence } from './metrics/kl-divergence.js';
import { type PerplexityFigures, startPerplexity } from './metrics/perplexity.js';
import { protocolOf } from './perplexity.js';
import type { TokenWindows } from './token-windows.js';

export interface CompareOptions extends RunOptions {
  readonly backend: Backend;
  /** The full-precision model. */
  readonly base: LanguageModel;
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
 * Kullback-Leibler divergence `KL(base ‖ quantized)` in nats, how often both find the same token most likely, and both perplexities.
 * Two windows of logits per lane are in memory at a time.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` when the vocabularies differ, and what `perplexity` throws.
 * @example
 * const { meanKl, sameTop } = await compare({ backend, base, quantized, windows: cutWindows(ids) });
 */
export async function compare({ backend, base, quantized, windows, ...options }: CompareOptions): Promise<Comparison> {
  const ofBase = startPerplexity(backend, windows);
  const ofQuantized = startPerplexity(backend, windows);
  const divergence = startDivergence(backend);
  const phase = 'Comparing with full precision';
  await forEachWindow({ ...options, backend, model: quantized, reference: base, windows, phase }, async (window) => {
    const runs = [divergence.add(window), ofQuantized.add(window)];
    if (window.reference) runs.push(ofBase.add({ ...window, logits: window.reference }));
    await allOf(runs);
  });
  return { ...divergence.finish(), base: ofBase.finish(), quantized: ofQuantized.finish(), protocol: protocolOf(windows) };
}
