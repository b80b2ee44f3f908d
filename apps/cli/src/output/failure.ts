import { CalibrantError } from '@calibrant/core';

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What a person or a machine is told of an error. Unexpected ones are told as a fault of ours, with how to see more. */
export function describeFailure(error: unknown): Failure {
  if (CalibrantError.isInstance(error)) return { code: error.code, message: error.message, details: error.details };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'UNEXPECTED', message: `${message}. This looks like a fault in Calibrant; CALIBRANT_DEBUG=1 shows where.` };
}

export function exitCodeOf(error: unknown): number {
  if (!CalibrantError.isInstance(error)) return 1;
  if (error.code === 'ABORTED') return 130;
  return error.code === 'INVALID_ARGUMENT' || error.code === 'UNKNOWN_NAME' || error.code === 'INVALID_RECIPE' ? 2 : 1;
}
