import type { CalibrantError } from '@calibrant/core';
import { BUFFER_USAGE } from './gpu-flags.js';

/** The memory behind one tensor; several handles may share it. */
export interface Storage {
  /** Bytes of the tensor itself, as counted by `allocatedBytes`. */
  readonly bytes: number;
  /** Undefined until the operation that fills it has run, and for good when that failed. */
  buffer: GPUBuffer | undefined;
  /** Handles that callers hold. */
  handles: number;
  /** Handles that are not yet released on the queue, and downloads under way. */
  references: number;
  /** What went wrong with the operation that filled it, or with any before it whose result it used. Never rejects. */
  settled: Promise<CalibrantError | undefined>;
}

export function createStorage(bytes: number): Storage {
  return { bytes, buffer: undefined, handles: 1, references: 1, settled: Promise.resolve(undefined) };
}

/** Bytes of the device buffer for a tensor of `bytes`: whole 32-bit words, and never empty. */
export function paddedSize(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 4) * 4);
}

export interface BufferPool {
  take(size: number): GPUBuffer;
  give(buffer: GPUBuffer): void;
  /** Destroys what is idle. */
  clear(): void;
}

/**
 * Keeps released buffers for the next tensor of the same size, up to `limit` bytes. The queue runs in order, so a buffer may be
 * written again as soon as the commands that read it are submitted.
 */
export function createBufferPool(device: GPUDevice, limit = 512 * 2 ** 20): BufferPool {
  const idle = new Map<number, GPUBuffer[]>();
  let idleBytes = 0;
  return {
    take(size) {
      const found = idle.get(size)?.pop();
      if (found) {
        idleBytes -= size;
        return found;
      }
      return device.createBuffer({ size, usage: BUFFER_USAGE.storage | BUFFER_USAGE.copySrc | BUFFER_USAGE.copyDst });
    },
    give(buffer) {
      if (idleBytes + buffer.size > limit) {
        buffer.destroy();
        return;
      }
      idleBytes += buffer.size;
      const list = idle.get(buffer.size);
      if (list) list.push(buffer);
      else idle.set(buffer.size, [buffer]);
    },
    clear() {
      for (const list of idle.values()) for (const buffer of list) buffer.destroy();
      idle.clear();
      idleBytes = 0;
    },
  };
}
