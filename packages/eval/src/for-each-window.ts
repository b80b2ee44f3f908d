import { type Backend, type BufferHandle, CalibrantError, type MetricWindow, type RunOptions, throwIfAborted } from '@calibrant/core';
import type { LanguageModel } from './language-model.js';
import type { TokenWindows } from './token-windows.js';

export interface WindowRun extends RunOptions {
  readonly backend: Backend;
  readonly model: LanguageModel;
  /** The full-precision model, run on the same windows. */
  readonly reference?: LanguageModel;
  readonly windows: TokenWindows;
  /** Windows whose hidden states are held at a time; the weights of each block are loaded once per batch. If absent as many as 256 MiB hold, at most 64. */
  readonly batchWindows?: number;
  /** For progress events. */
  readonly phase: string;
}

/**
 * Runs the models over the windows and shows the logits of each to `visit`: as many windows at a time as the backend has lanes.
 * Logits are freed when `visit` has resolved.
 */
export async function forEachWindow(
  { backend, model, reference, windows: { windows, length }, batchWindows, phase, onEvent, signal }: WindowRun,
  visit: (window: MetricWindow) => Promise<void>,
): Promise<void> {
  for (const each of reference ? [model, reference] : [model]) expectKnownTokens(windows, each.description.vocabSize);
  if (reference && reference.description.vocabSize !== model.description.vocabSize)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `Two models are compared token by token, but one has ${reference.description.vocabSize} and the other ${model.description.vocabSize} tokens. Compare a model with the one that it was made from.`,
    );
  const total = windows.reduce((sum, window) => sum + window.length, 0);
  let done = 0;
  onEvent?.({ phase, done, total, unit: 'tokens' });
  const batchSize = batchWindows ?? defaultBatch(length * model.description.hiddenSize * 4, backend.lanes);
  for (let start = 0; start < windows.length; start += batchSize) {
    throwIfAborted(signal);
    const batch = windows.slice(start, start + batchSize);
    const options = signal ? { signal } : {};
    const states: BufferHandle[] = [];
    try {
      states.push(...(await model.run(batch, options)));
      if (reference) states.push(...(await reference.run(batch, options)));
      for (let first = 0; first < batch.length; first += backend.lanes) {
        throwIfAborted(signal);
        const group = batch.slice(first, first + backend.lanes);
        await allOf(
          group.map(async (ids, offset) => {
            const made: BufferHandle[] = [];
            try {
              const logits = await model.head(states[first + offset]);
              made.push(logits);
              const base = await reference?.head(states[batch.length + first + offset]);
              if (base) made.push(base);
              await visit({ index: start + first + offset, ids, logits, ...(base ? { reference: base } : {}) });
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

/** Windows in 256 MiB of hidden states: at least one per lane, and few enough for frequent progress. */
function defaultBatch(bytesPerWindow: number, lanes: number): number {
  return Math.max(lanes, Math.min(64, Math.floor(2 ** 28 / bytesPerWindow)));
}

/** Waits for every promise, so that nothing still uses a buffer, then throws the first failure. */
export async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
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
