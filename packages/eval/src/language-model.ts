import type { BufferHandle, RunOptions } from '@calibrant/core';
import type { TokenScores } from './scores/token-scores.js';

/**
 * What a measurement needs of a model (a `Transformer` of `@calibrant/transformer` is one): its final hidden states for a batch of windows, and
 * the logits of one window at a time. So the weights of each block are loaded once per batch, and memory never holds the logits of
 * more than one window per lane.
 */
export interface LanguageModel {
  readonly description: { readonly vocabSize: number; readonly hiddenSize: number };
  /**
   * Runs each sequence on its own from position 0. The last block's outputs `[tokens, hiddenSize]`, that of sequence i on lane `i % lanes`
   * or visible to all lanes, so that two models put the same window on the same lane. The caller frees them.
   */
  run(sequences: readonly Int32Array[], options?: RunOptions): Promise<BufferHandle[]>;
  /** Logits f32 `[tokens, vocabSize]` on the lane of the hidden states. The caller frees them. */
  head(hidden: BufferHandle): Promise<BufferHandle>;
}

/** Logits of the full-precision model that were computed before: what stands in for it in a comparison. */
export interface BaseLogits {
  readonly vocabSize: number;
  /** Logits (or log-probabilities) f32 `[scored tokens, vocabSize]` of a window, on a lane or visible to all. The caller frees them. */
  logits(window: number, lane: number | undefined): Promise<BufferHandle>;
  /** What the full-precision model itself gave for each scored token, without the rounding of the stored logits. */
  scores(window: number): Promise<TokenScores>;
}
