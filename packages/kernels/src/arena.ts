import { CalibrantError } from '@calibrant/core';
import { PAGE, type WasmMemory } from './wasm-runtime.js';

const UNIT = 64;
const GROWTH = 16 * 1024 * 1024;
/** WebAssembly's 32-bit limit. */
const LIMIT = 65536 * PAGE;

/**
 * The memory of one lane: a growing WebAssembly memory with a segregated-fit allocator above the module's static data.
 * Blocks are 64-byte aligned (a cache line, and what SIMD loads like); neighbours that are free are merged at once.
 *
 * Growing detaches `memory.buffer`, so make views when they are needed and never keep them across an allocation.
 */
export class Arena {
  readonly memory: WasmMemory;
  readonly #limit: number;
  readonly #used = new Map<number, number>();
  readonly #freeSizes = new Map<number, number>();
  readonly #freeStarts = new Map<number, number>();
  /** Starts of free blocks by size class: four classes per power of two. */
  readonly #bins: Set<number>[] = Array.from({ length: 32 * 4 }, () => new Set());
  #end: number;

  constructor(memory: WasmMemory, base: number, limit = LIMIT) {
    this.memory = memory;
    this.#limit = limit;
    this.#end = align(base);
    this.#extend(memory.buffer.byteLength);
  }

  /** Bytes in use, rounded up to 64 per block. */
  get allocated(): number {
    let sum = 0;
    for (const size of this.#used.values()) sum += size;
    return sum;
  }

  /**
   * The address of a new block (never 0). Contents are what they were.
   *
   * @throws CalibrantError `OUT_OF_MEMORY`
   */
  allocate(bytes: number): number {
    const size = Math.max(UNIT, align(bytes));
    if (size > this.#limit) throw outOfMemory(bytes);
    let start = this.#find(size);
    if (start === undefined) {
      this.#grow(size);
      start = this.#find(size);
    }
    if (start === undefined) throw outOfMemory(bytes);
    const found = this.#takeFree(start);
    if (found > size) this.#addFree(start + size, found - size);
    this.#used.set(start, size);
    return start;
  }

  release(start: number): void {
    const size = this.#used.get(start);
    if (size === undefined)
      throw new CalibrantError('INVALID_ARGUMENT', `Address ${start} is not an allocated block of this lane's memory.`);
    this.#used.delete(start);
    this.#addFree(start, size);
  }

  #find(size: number): number | undefined {
    const own = sizeClass(size);
    // Blocks of the same class may still be too short; of larger classes any fits.
    for (const start of this.#bins[own]) if (this.#freeSizes.get(start)! >= size) return start;
    for (let index = own + 1; index < this.#bins.length; index++) for (const start of this.#bins[index]) return start;
    return undefined;
  }

  #grow(size: number): void {
    const last = this.#freeStarts.get(this.#end);
    const missing = size - (last === undefined ? 0 : this.#end - last);
    const roomy = Math.max(missing, GROWTH, Math.floor(this.#end / 4));
    for (const wanted of [roomy, missing]) {
      const pages = Math.ceil(wanted / PAGE);
      if (this.#end + pages * PAGE > this.#limit) continue;
      try {
        this.memory.grow(pages);
      } catch {
        continue;
      }
      this.#extend(this.memory.buffer.byteLength);
      return;
    }
    throw outOfMemory(size);
  }

  #extend(end: number): void {
    const usable = Math.floor(end / UNIT) * UNIT;
    if (usable > this.#end) {
      const start = this.#end;
      this.#end = usable;
      this.#addFree(start, usable - start);
    }
  }

  #addFree(start: number, size: number): void {
    const before = this.#freeStarts.get(start);
    if (before !== undefined) {
      size += this.#takeFree(before);
      start = before;
    }
    if (this.#freeSizes.has(start + size)) size += this.#takeFree(start + size);
    this.#freeSizes.set(start, size);
    this.#freeStarts.set(start + size, start);
    this.#bins[sizeClass(size)].add(start);
  }

  #takeFree(start: number): number {
    const size = this.#freeSizes.get(start)!;
    this.#freeSizes.delete(start);
    this.#freeStarts.delete(start + size);
    this.#bins[sizeClass(size)].delete(start);
    return size;
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / UNIT) * UNIT;
}

function sizeClass(bytes: number): number {
  const units = bytes / UNIT;
  const power = 31 - Math.clz32(units);
  return power < 2 ? units : power * 4 + ((units >>> (power - 2)) & 3);
}

function outOfMemory(bytes: number): CalibrantError {
  return new CalibrantError(
    'OUT_OF_MEMORY',
    `A lane could not get ${bytes} more bytes: its WebAssembly memory holds at most 4 GiB. Process fewer tokens at a time, or free buffers that are done with.`,
    { bytes },
  );
}
