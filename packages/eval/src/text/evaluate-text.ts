import { type Backend, CalibrantError, type RunOptions } from '@calibrant/core';
import type { BaseLogitsSink } from '../base-logits/write-base-logits.js';
import { type CalibrationFigures, calibrationError } from '../calibration/calibration-error.js';
import { forEachWindow } from '../for-each-window.js';
import { klDivergence } from '../kernels/kl-divergence.js';
import { topOverlap } from '../kernels/top-overlap.js';
import type { BaseLogits, LanguageModel } from '../language-model.js';
import { expectNumbers, scoreTokens, type TokenScores } from '../scores/token-scores.js';
import { protocolOf, type TokenWindows } from '../token-windows.js';
import { type DivergenceFigures, divergenceFigures } from './divergence-figures.js';
import { join, type PerplexityFigures, perplexityFigures } from './perplexity-figures.js';

export interface EvaluateTextOptions extends RunOptions {
  readonly backend: Backend;
  readonly model: LanguageModel;
  /** The full-precision model, or its logits from `openBaseLogits`. */
  readonly base?: LanguageModel | BaseLogits;
  /** Made by `cutWindows`. */
  readonly windows: TokenWindows;
  /** Windows whose hidden states are held at a time. If absent as many as 256 MiB hold, at most 64. */
  readonly batchWindows?: number;
  /** Tokens of the top-k overlap, 1 to 64; 10 if absent, fewer for a smaller vocabulary. */
  readonly topCount?: number;
  /** Takes the logits of the base, or of the model where there is no base, to compare other models with. */
  readonly save?: BaseLogitsSink;
}

/** A model on a text. */
export interface TextEvaluation {
  readonly protocol: string;
  readonly perplexity: PerplexityFigures;
  /** Of next-token predictions. */
  readonly calibration: CalibrationFigures;
  /** With a base: the same of the base, and how far both are apart. */
  readonly base?: { readonly perplexity: PerplexityFigures; readonly calibration: CalibrationFigures };
  readonly divergence?: DivergenceFigures;
}

interface Recorded {
  readonly tokens: number;
  readonly targets: Int32Array;
  readonly model: TokenScores;
  readonly base?: TokenScores;
  readonly kl?: Float32Array;
  readonly overlap?: Float32Array;
}

/**
 * Everything about a model on a text in one pass: perplexity, calibration of its next-token predictions, and with a base the divergence from it. Per scored token some
 * ten numbers are kept; logits never outlive their window.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for tokens that the model does not know, `SHAPE_MISMATCH` when the vocabularies differ, `NON_FINITE` when logits are NaN, `ABORTED`.
 * @example
 * const { perplexity, divergence } = await evaluateText({ backend, model, base, windows: cutWindows(ids) });
 */
export async function evaluateText({ base, save, topCount, ...options }: EvaluateTextOptions): Promise<TextEvaluation> {
  const { backend, model, windows } = options;
  const count = Math.min(topCount ?? 10, model.description.vocabSize);
  const stored = base && !('run' in base) ? base : undefined;
  const recorded: Recorded[] = [];
  const phase = base ? 'Comparing with full precision' : 'Measuring perplexity';
  await forEachWindow({ ...options, phase, ...(base ? { reference: base } : {}) }, async ({ index, ids, targets, logits, reference }) => {
    const scores = await scoreTokens(backend, logits, targets, index);
    const common = { tokens: ids.length, targets, model: scores };
    if (!reference) {
      await save?.add(index, logits, scores);
      recorded[index] = common;
      return;
    }
    const ofBase = (await stored?.scores(index)) ?? (await scoreTokens(backend, reference, targets, index));
    const { kl, same } = backend.run(klDivergence, { base: reference, quantized: logits }, {});
    const { common: shared } = backend.run(topOverlap, { base: reference, quantized: logits }, { count });
    try {
      const [divergences, overlaps] = await Promise.all([backend.download(kl), backend.download(shared)]);
      expectNumbers(divergences.data as Float32Array, index);
      const overlap = Float32Array.from(overlaps.data as Uint8Array, (both) => both / count);
      recorded[index] = { ...common, base: ofBase, kl: divergences.data as Float32Array, overlap };
      await save?.add(index, reference, ofBase);
    } finally {
      backend.free(kl, same, shared);
    }
  });
  return summarize(recorded, windows, count);
}

function summarize(recorded: readonly Recorded[], windows: TokenWindows, overlapCount: number): TextEvaluation {
  if (recorded.length === 0) throw new CalibrantError('INVALID_ARGUMENT', 'There are no windows to measure on.');
  const tokens = recorded.reduce((sum, window) => sum + window.tokens, 0);
  const figuresOf = (side: 'model' | 'base') => ({
    perplexity: perplexityFigures(
      recorded.map((window) => window[side]!.nll),
      tokens,
      windows.bytesPerToken,
    ),
    calibration: calibrationOf(recorded, side),
  });
  const alone = { protocol: protocolOf(windows), ...figuresOf('model') };
  if (!recorded[0].base) return alone;
  const divergence = divergenceFigures(
    {
      kl: join(recorded.map(({ kl }) => kl!)),
      overlap: join(recorded.map(({ overlap }) => overlap!)),
      baseNll: join(recorded.map((window) => window.base!.nll)),
      quantizedNll: join(recorded.map((window) => window.model.nll)),
      same: join(recorded.map((window) => Float32Array.from(window.model.top, (top, i) => (top === window.base!.top[i] ? 1 : 0)))),
    },
    overlapCount,
  );
  return { ...alone, base: figuresOf('base'), divergence };
}

/** Σ (p − y)² = Σ p² − 2 p[target] + 1. */
function calibrationOf(recorded: readonly Recorded[], side: 'model' | 'base'): CalibrationFigures {
  const of = (value: (scores: TokenScores, targets: Int32Array) => Float32Array) =>
    join(recorded.map((window) => value(window[side]!, window.targets)));
  return calibrationError(
    of(({ confidence }) => confidence),
    of(({ top }, targets) => Float32Array.from(top, (token, i) => (token === targets[i] ? 1 : 0))),
    { brier: of(({ squares, nll }) => squares.map((sum, i) => sum - 2 * Math.exp(-nll[i]) + 1)) },
  );
}
