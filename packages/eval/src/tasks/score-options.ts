import { type Backend, type BufferHandle, type RunOptions, throwIfAborted } from '@calibrant/core';
import { allOf, headOf } from '../for-each-window.js';
import type { LanguageModel } from '../language-model.js';
import { scoreTokens } from '../scores/token-scores.js';
import type { EncodedOption } from './encode-option.js';

export interface ScoreOptions extends RunOptions {
  readonly backend: Backend;
  readonly model: LanguageModel;
  /** For progress events. */
  readonly phase: string;
}

/** How likely an option is. */
export interface OptionScore {
  /** ln p of its scored tokens, summed in f64. */
  readonly logLikelihood: number;
  /** Whether each of its tokens is the most likely one: the model would write it greedily. */
  readonly greedy: boolean;
}

/** Bytes of hidden states that are held at a time, and the most tokens, so that progress is frequent. */
const MAX_BYTES = 2 ** 28;
const MAX_TOKENS = 32768;

interface Shared {
  readonly input: Int32Array;
  /** Indices of the options that are asked of this input. */
  readonly options: number[];
}

/**
 * Scores options. Those with the same input (such as the letters of a question) share one pass; sequences are run side by side,
 * the longest first, and only positions that predict a scored token are projected to the vocabulary.
 *
 * @throws CalibrantError `NON_FINITE`, `ABORTED`
 */
export async function scoreOptions(options: readonly EncodedOption[], run: ScoreOptions): Promise<OptionScore[]> {
  const { backend, model, phase, onEvent, signal } = run;
  const scores = new Array<OptionScore>(options.length);
  const inputs = shareInputs(options).sort((a, b) => b.input.length - a.input.length);
  const total = inputs.reduce((sum, { input }) => sum + input.length, 0);
  let done = 0;
  onEvent?.({ phase, done, total, unit: 'tokens' });
  for (const batch of batches(inputs, model.description.hiddenSize)) {
    throwIfAborted(signal);
    const states = await model.run(
      batch.map(({ input }) => input),
      signal ? { signal } : {},
    );
    try {
      for (let first = 0; first < batch.length; first += backend.lanes) {
        throwIfAborted(signal);
        await allOf(
          batch.slice(first, first + backend.lanes).map(async ({ options: asked }, offset) => {
            await scoreShared(
              states[first + offset],
              asked.map((index) => ({ index, ...options[index] })),
              scores,
              run,
            );
          }),
        );
      }
    } finally {
      backend.free(...states);
    }
    done += batch.reduce((sum, { input }) => sum + input.length, 0);
    onEvent?.({ phase, done, total, unit: 'tokens' });
  }
  return scores;
}

function shareInputs(options: readonly EncodedOption[]): Shared[] {
  const byTokens = new Map<string, Shared>();
  for (const [index, { input }] of options.entries()) {
    const key = input.join();
    const known = byTokens.get(key);
    if (known) known.options.push(index);
    else byTokens.set(key, { input, options: [index] });
  }
  return [...byTokens.values()];
}

function* batches(inputs: readonly Shared[], hiddenSize: number): Generator<Shared[]> {
  const most = Math.min(MAX_TOKENS, MAX_BYTES / 4 / hiddenSize);
  let batch: Shared[] = [];
  let tokens = 0;
  for (const shared of inputs) {
    if (batch.length > 0 && tokens + shared.input.length > most) {
      yield batch;
      batch = [];
      tokens = 0;
    }
    batch.push(shared);
    tokens += shared.input.length;
  }
  if (batch.length > 0) yield batch;
}

async function scoreShared(
  hidden: BufferHandle,
  asked: readonly (EncodedOption & { readonly index: number })[],
  scores: OptionScore[],
  { backend, model }: ScoreOptions,
): Promise<void> {
  const rows = Math.max(...asked.map(({ targets }) => targets.length));
  const end = hidden.shape[0];
  const logits = await headOf(backend, model, hidden, end - rows, end);
  try {
    for (const { index, targets } of asked) {
      const padded = new Int32Array(rows).fill(-1);
      padded.set(targets, rows - targets.length);
      const { nll, top } = await scoreTokens(backend, logits, padded, index);
      let sum = 0;
      for (const value of nll) sum -= value;
      const greedy = padded.every((target, row) => target < 0 || top[row] === target);
      scores[index] = { logLikelihood: sum, greedy };
    }
  } finally {
    backend.free(logits);
  }
}
