import { type CalibrantError, dtypeInfo, elementCount, type TensorSpec, type TypedArray } from '@calibrant/core';
import type { Dependency } from './lane-link.js';
import type { SharedMemoryPool } from './shared-memory-pool.js';

let nextId = 1;

/** Memory that every lane can read, and what is known about it in the main thread. */
export class SharedStorage implements Dependency {
  readonly id = nextId++;
  readonly spec: TensorSpec;
  readonly bytes: number;
  /** Lanes that may hold a private copy. */
  readonly copies = new Set<number>();
  /** Whether a call on a lane reads it: such a call may still be on its way when its readers are counted down. */
  readByLane = false;
  /** Handles that name it. */
  handles = 1;
  /** Operations that will read it and are not done, or (on a lane's buffers) not posted yet. */
  readers = 0;
  pending = true;
  error?: CalibrantError;
  readonly #pool: SharedMemoryPool;
  #memory?: SharedArrayBuffer;
  #listeners: (() => void)[] = [];

  constructor(spec: TensorSpec, pool: SharedMemoryPool) {
    this.spec = spec;
    this.bytes = elementCount(spec.shape) * dtypeInfo(spec.dtype).bytes;
    this.#pool = pool;
  }

  /** Allocated when first asked for: a queued result takes no memory before its turn. May be longer than `bytes`. */
  get memory(): SharedArrayBuffer {
    this.#memory ??= this.#pool.take(this.bytes);
    return this.#memory;
  }

  get data(): TypedArray {
    return new (dtypeInfo(this.spec.dtype).array)(this.memory, 0, elementCount(this.spec.shape));
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

  /** Hands the memory back for others. Nobody may read or write it any more. */
  recycle(): void {
    if (this.#memory) this.#pool.give(this.#memory);
    this.#memory = undefined;
  }
}

/** Calls `body` once all are settled, in this turn if they are already. */
export function whenAllSettled(dependencies: readonly Dependency[], body: () => void): void {
  const missing = dependencies.find(({ pending }) => pending);
  if (missing) missing.whenSettled(() => whenAllSettled(dependencies, body));
  else body();
}
