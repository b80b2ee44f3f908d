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

/** 130 cancelled; 2 for wrong usage: a code that says so, or an error about an option of the command line or the recipe; 1 for all others. */
export function exitCodeOf(error: unknown): number {
  if (!CalibrantError.isInstance(error)) return 1;
  if (error.code === 'ABORTED') return 130;
  const usage = error.code === 'INVALID_ARGUMENT' || error.code === 'UNKNOWN_NAME' || error.code === 'INVALID_RECIPE';
  return usage || /^(--|recipe\b)/.test(error.details.option ?? '') ? 2 : 1;
}
