/** The codes that a {@link CalibrantError} can carry; each names a kind of failure that a caller can act on. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_RECIPE'
  | 'UNKNOWN_NAME'
  | 'DUPLICATE_NAME'
  | 'UNSUPPORTED'
  | 'SHAPE_MISMATCH'
  | 'NOT_FOUND'
  | 'CORRUPT_FILE'
  | 'NON_FINITE'
  | 'NUMERICAL'
  | 'OUTPUT_EXISTS'
  | 'DISK_FULL'
  | 'IO'
  | 'NETWORK'
  | 'MISSING_DEPENDENCY'
  | 'OUT_OF_MEMORY'
  | 'ABORTED';

/** What an error is about, for machines: any of file, tensor, byte offset, option path. */
export interface ErrorDetails {
  readonly file?: string;
  readonly tensor?: string;
  readonly offset?: number;
  readonly option?: string;
  readonly [key: string]: unknown;
}

const MARKER: unique symbol = Symbol.for('calibrant.error') as never;

/**
 * The one error class that Calibrant throws on purpose. `message` is a sentence or two that say what was wrong,
 * where, what was expected, and what to do about it.
 *
 * `isInstance` also recognizes errors of another copy of this package in the same process.
 */
export class CalibrantError extends Error {
  override readonly name = 'CalibrantError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly [MARKER] = true;

  constructor(code: ErrorCode, message: string, options: ErrorDetails & { cause?: unknown } = {}) {
    const { cause, ...details } = options;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  static isInstance(value: unknown): value is CalibrantError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[MARKER] === true;
  }
}

/** Throws `ABORTED` when the signal has fired. Call between units of work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CalibrantError('ABORTED', 'The operation was cancelled.', { cause: signal.reason });
}
