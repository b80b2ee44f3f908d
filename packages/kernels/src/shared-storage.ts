import { type CalibrantError, dtypeInfo, elementCount, type TensorSpec, type TypedArray } from '@calibrant/core';
import type { Dependency } from './lane-link.js';

let nextId = 1;

/** Memory that every lane can read, and what is known about it in the main thread. */
export class SharedStorage implements Dependency {
  readonly id = nextId++;
  readonly spec: TensorSpec;
  readonly bytes: number;
  /** Lanes that hold a private copy. */
  readonly copies = new Set<number>();
  /** Handles that name it. */
  handles = 1;
  /** Operations that will read it and are not posted yet. */
  readers = 0;
  pending = true;
  error?: CalibrantError;
  #memory?: SharedArrayBuffer;
  #listeners: (() => void)[] = [];

  constructor(spec: TensorSpec) {
    this.spec = spec;
    this.bytes = elementCount(spec.shape) * dtypeInfo(spec.dtype).bytes;
  }

  /** Allocated when first asked for: a queued result takes no memory before its turn. */
  get memory(): SharedArrayBuffer {
    return (this.#memory ??= new SharedArrayBuffer(this.bytes));
  }

  get data(): TypedArray {
    return new (dtypeInfo(this.spec.dtype).array)(this.memory);
  }

  settle(error?: CalibrantError): void {
    this.pending = false;
    this.error = error;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  whenSettled(listener: () => void): void {
    if (this.pending) this.#listeners.push(listener);
    else listener();
  }
}

/** Calls `body` once all are settled, in this turn if they are already. */
export function whenAllSettled(dependencies: readonly Dependency[], body: () => void): void {
  const missing = dependencies.find(({ pending }) => pending);
  if (missing) missing.whenSettled(() => whenAllSettled(dependencies, body));
  else body();
}
