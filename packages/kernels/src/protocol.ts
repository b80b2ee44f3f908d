import { CalibrantError, type DType, type ErrorCode, type ErrorDetails, type OperandRole, type TypedArray } from '@calibrant/core';

/** Errors cross the thread boundary as plain data. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
  readonly stack?: string;
}

/** An input of a call. It is a buffer of the lane (`id`), or lies on shared memory (`storage`), or failed before (`error`). */
export interface InputOperand {
  readonly name: string;
  readonly role: OperandRole;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly id?: number;
  readonly storage?: number;
  readonly memory?: SharedArrayBuffer;
  /** Where the slice of a `rows` operand starts in `memory`. */
  readonly byteOffset?: number;
  readonly error?: PlainError;
}

/** An output of a call: a new buffer of the lane (`id`), or a part of shared memory. */
export interface OutputOperand {
  readonly name: string;
  readonly role: OperandRole;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly id?: number;
  readonly memory?: SharedArrayBuffer;
  readonly byteOffset?: number;
}

/** How a lane computes a call: `wasm` without a module means this package's own; `main` asks the main thread for the kernel's reference. */
export type CallVariant =
  | { readonly kind: 'native' }
  | { readonly kind: 'wasm'; readonly module?: string; readonly function: string; readonly scalars: readonly number[] }
  | { readonly kind: 'reference' }
  | { readonly kind: 'main' };

export interface Call {
  readonly kernel: string;
  readonly variant: CallVariant;
  readonly attributes: unknown;
  /** In the order in which the kernel declares them; absent optional inputs are undefined. */
  readonly inputs: readonly (InputOperand | undefined)[];
  readonly outputs: readonly OutputOperand[];
  readonly start: number;
  readonly end: number;
  /** Rows per independent unit; 0 if the kernel is not split. */
  readonly chunkRows: number;
  /** Set where the main thread waits for the end of the call. */
  readonly ticket?: number;
}

export type Command =
  /** Values come along, or lie on shared memory that the lane gives back by answering the ticket. */
  | {
      readonly op: 'upload';
      readonly id: number;
      readonly dtype: DType;
      readonly shape: readonly number[];
      readonly data?: TypedArray;
      readonly memory?: SharedArrayBuffer;
      readonly ticket?: number;
    }
  | { readonly op: 'run'; readonly call: Call }
  | { readonly op: 'module'; readonly module: string; readonly base64: string }
  | { readonly op: 'free'; readonly ids: readonly number[] }
  | { readonly op: 'drop'; readonly storages: readonly number[] }
  | { readonly op: 'share'; readonly id: number; readonly memory: SharedArrayBuffer; readonly ticket: number }
  | { readonly op: 'download'; readonly id: number; readonly ticket: number }
  | { readonly op: 'fence'; readonly ticket: number }
  /** What `main` asked for; handled at once, out of the queue. */
  | { readonly op: 'answer'; readonly outputs?: readonly TypedArray[]; readonly error?: PlainError };

export type Reply =
  | { readonly type: 'done'; readonly ticket: number; readonly data?: TypedArray; readonly error?: PlainError }
  | { readonly type: 'failed'; readonly ids: readonly number[]; readonly error: PlainError }
  | { readonly type: 'ask'; readonly call: Call; readonly inputs: readonly (TypedArray | undefined)[] };

export function plainError(error: unknown): PlainError {
  if (CalibrantError.isInstance(error)) return { code: error.code, message: error.message, details: error.details, stack: error.stack };
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined };
  const code = error instanceof RangeError && /allocation failed|array length/i.test(message) ? 'OUT_OF_MEMORY' : 'UNSUPPORTED';
  return { code, message: `A lane failed: ${message}`, details: {}, stack };
}

export function revive(error: PlainError): CalibrantError {
  const revived = new CalibrantError(error.code, error.message, error.details);
  if (error.stack) revived.stack = error.stack;
  return revived;
}
