import { CalibrantError } from '@calibrant/core';

/** Memory kept for the next operation; more than this is left to the garbage collector. */
const KEPT = 256 * 1024 * 1024;
/** Smaller ones are not worth keeping. */
const SMALLEST = 65536;

/**
 * Reuses shared memory. Without it, streaming a model through the lanes would pile up garbage until each thread's collector happens to run,
 * and the peak of memory would say nothing about what is in use.
 */
export class SharedMemoryPool {
  readonly #free = new Map<number, SharedArrayBuffer[]>();
  #kept = 0;

  /**
   * At least `bytes` long; contents are undefined.
   *
   * @throws CalibrantError `OUT_OF_MEMORY`
   */
  take(bytes: number): SharedArrayBuffer {
    const size = sizeClass(bytes);
    const found = this.#free.get(size)?.pop();
    if (found) {
      this.#kept -= size;
      return found;
    }
    try {
      return new SharedArrayBuffer(size);
    } catch (cause) {
      throw new CalibrantError('OUT_OF_MEMORY', `There is no memory for a shared buffer of ${bytes} bytes.`, { cause, bytes });
    }
  }

  give(memory: SharedArrayBuffer): void {
    const size = memory.byteLength;
    if (size < SMALLEST || this.#kept + size > KEPT) return;
    this.#kept += size;
    const list = this.#free.get(size);
    if (list) list.push(memory);
    else this.#free.set(size, [memory]);
  }
}

/** Rounded up to an eighth of a power of two, so that similar sizes share. */
function sizeClass(bytes: number): number {
  if (bytes < SMALLEST) return bytes;
  const step = 2 ** Math.max(0, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}
