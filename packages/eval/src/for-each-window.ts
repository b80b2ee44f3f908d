import {
  type Backend,
  type BufferHandle,
  CalibrantError,
  type MetricWindow,
  type RunOptions,
  slice,
  throwIfAborted,
} from '@calibrant/core';
import type { BaseLogits, LanguageModel } from './language-model.js';
import { scoredFrom, type TokenWindows } from './token-windows.js';

export interface WindowRun extends RunOptions {
  readonly backend: Backend;
  readonly model: LanguageModel;
  /** The full-precision model, run on the same windows, or what it gave before. */
  readonly reference?: LanguageModel | BaseLogits;
  readonly windows: TokenWindows;
  /** Windows whose hidden states are held at a time; the weights of each block are loaded once per batch. If absent as many as 256 MiB hold, at most 64. */
  readonly batchWindows?: number;
  /** For progress events. */
  readonly phase: string;
}

/**
 * Runs the models over the windows and shows the logits that predict the scored tokens of each to `visit`: as many windows at a time as the backend has
 * lanes. Logits are freed when `visit` has resolved; those that predict no scored token are never computed.
 */
export async function forEachWindow(
  { backend, model, reference, windows, batchWindows, phase, onEvent, signal }: WindowRun,
  visit: (window: MetricWindow) => Promise<void>,
): Promise<void> {
  const sequences = windows.windows;
  const baseModel = reference && 'run' in reference ? reference : undefined;
  const baseLogits = reference && 'run' in reference ? undefined : reference;
  for (const each of baseModel ? [model, baseModel] : [model]) expectKnownTokens(sequences, each.description.vocabSize);
  expectSameVocabulary(model.description.vocabSize, baseModel?.description.vocabSize ?? baseLogits?.vocabSize);
  const total = sequences.reduce((sum, window) => sum + window.length, 0);
  let done = 0;
  onEvent?.({ phase, done, total, unit: 'tokens' });
  const batchSize = batchWindows ?? defaultBatch(windows.length * model.description.hiddenSize * 4, backend.lanes);
  for (let start = 0; start < sequences.length; start += batchSize) {
    throwIfAborted(signal);
    const batch = sequences.slice(start, start + batchSize);
    const options = signal ? { signal } : {};
    const states: BufferHandle[] = [];
    try {
      states.push(...(await model.run(batch, options)));
      if (baseModel) states.push(...(await baseModel.run(batch, options)));
      for (let first = 0; first < batch.length; first += backend.lanes) {
        throwIfAborted(signal);
        const group = batch.slice(first, first + backend.lanes);
        await allOf(
          group.map(async (ids, offset) => {
            const index = start + first + offset;
            const from = scoredFrom(windows, index);
            const hidden = states[first + offset];
            const made: BufferHandle[] = [];
            try {
              const logits = await headOf(backend, model, hidden, from - 1, ids.length - 1);
              made.push(logits);
              const base = baseModel
                ? await headOf(backend, baseModel, states[batch.length + first + offset], from - 1, ids.length - 1)
                : await baseLogits?.logits(index, hidden.lane);
              if (base) made.push(base);
              await visit({ index, ids, targets: ids.subarray(from), logits, ...(base ? { reference: base } : {}) });
            } finally {
              backend.free(...made);
            }
          }),
        );
        done += group.reduce((sum, ids) => sum + ids.length, 0);
        onEvent?.({ phase, done, total, unit: 'tokens' });
      }
    } finally {
      backend.free(...states);
    }
  }
}

/** Logits of some rows of the hidden states. */
export async function headOf(
  backend: Backend,
  model: Pick<LanguageModel, 'head'>,
  hidden: BufferHandle,
  rowStart: number,
  rowEnd: number,
): Promise<BufferHandle> {
  if (rowStart === 0 && rowEnd === hidden.shape[0]) return model.head(hidden);
  const { y } = backend.run(slice, { x: hidden }, { rowStart, rowEnd, columnStart: 0, columnEnd: hidden.shape[1] });
  try {
    return await model.head(y);
  } finally {
    backend.free(y);
  }
}

/** Windows in 256 MiB of hidden states: at least one per lane, and few enough for frequent progress. */
export function defaultBatch(bytesPerWindow: number, lanes: number): number {
  return Math.max(lanes, Math.min(64, Math.floor(2 ** 28 / bytesPerWindow)));
}

/** Waits for every promise, so that nothing still uses a buffer, then throws the first failure. */
export async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

function expectSameVocabulary(ofModel: number, ofBase: number | undefined): void {
  if (ofBase === undefined || ofBase === ofModel) return;
  throw new CalibrantError(
    'SHAPE_MISMATCH',
    `Two models are compared token by token, but one has ${ofBase} and the other ${ofModel} tokens. Compare a model with the one that it was made from.`,
  );
}

function expectKnownTokens(windows: readonly Int32Array[], vocabSize: number): void {
  for (const [index, window] of windows.entries()) {
    const at = window.findIndex((id) => id < 0 || id >= vocabSize);
    if (at >= 0)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `Token ${at} of window ${index} is ${window[at]}, but the model knows ids 0 to ${vocabSize - 1}. Tokenize the text with the model's own tokenizer.`,
      );
  }
}
