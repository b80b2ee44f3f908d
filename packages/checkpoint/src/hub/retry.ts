import { CalibrantError, throwIfAborted } from '@calibrant/core';

export interface RetryOptions {
  /** Failures in a row without progress before giving up. */
  readonly retries: number;
  /** Milliseconds before the first repetition; doubles with every failure, up to 30 s. */
  readonly retryDelay: number;
  readonly signal?: AbortSignal;
  /** Bytes so far: progress of 4 KiB forgives earlier failures. */
  readonly progress?: () => number;
}

/** A connection that ends after a few bytes every time would never come to an end. */
const LEAST_PROGRESS = 4096;

/** Marks an error as worth another attempt, at the earliest after `retryAfter` milliseconds. */
export function retryable(
  message: string,
  details: { file: string; status?: number; retryAfter?: number; cause?: unknown },
): CalibrantError {
  return new CalibrantError('NETWORK', message, { ...details, retryable: true });
}

/** Repeats an attempt that fails with a {@link retryable} error, waiting longer each time. */
export async function withRetries<T>(attempt: () => Promise<T>, { retries, retryDelay, signal, progress }: RetryOptions): Promise<T> {
  let failures = 0;
  let reached = progress?.() ?? 0;
  for (;;) {
    try {
      throwIfAborted(signal);
      return await attempt();
    } catch (error) {
      throwIfAborted(signal);
      if (!CalibrantError.isInstance(error) || error.details['retryable'] !== true) throw error;
      const now = progress?.() ?? 0;
      if (now >= reached + LEAST_PROGRESS) [failures, reached] = [0, now];
      if (failures >= retries) throw error;
      const wait = Math.min(30_000, retryDelay * 2 ** failures++);
      await pause(Math.max(wait, Math.min(120_000, Number(error.details['retryAfter'] ?? 0))), signal);
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener('abort', done);
  });
}
