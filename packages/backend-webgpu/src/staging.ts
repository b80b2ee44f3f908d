import { BUFFER_USAGE, MAP_MODE } from './gpu-flags.js';

/** Moves bytes between the host and the device through mapped buffers that are used again: the first touch of a new one is slow. */
export interface Staging {
  /** Copies `bytes` to the start of `target`. The caller may change them once it resolves. */
  upload(target: GPUBuffer, bytes: Uint8Array): Promise<void>;
  /** Copies the start of `source` into `bytes`. */
  download(source: GPUBuffer, bytes: Uint8Array): Promise<void>;
  close(): void;
}

const CHUNK = 16 * 2 ** 20;
const RING = 3;
/** Below this a copy through the queue's own staging is quicker than mapping. */
const SMALL = 64 * 2 ** 10;

export function createStaging(device: GPUDevice): Staging {
  const writers = createRing(device, BUFFER_USAGE.mapWrite | BUFFER_USAGE.copySrc);
  const readers = createRing(device, BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst);

  const copy = (from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, size: number): void => {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, fromOffset, to, toOffset, size);
    device.queue.submit([encoder.finish()]);
  };

  return {
    async upload(target, bytes) {
      if (bytes.byteLength <= SMALL) {
        // Whole words, in a copy: `writeBuffer` takes multiples of 4 bytes and no shared memory.
        const words = new Uint8Array(wholeWords(bytes.byteLength));
        words.set(bytes);
        if (words.byteLength > 0) device.queue.writeBuffer(target, 0, words);
        return;
      }
      for (let at = 0; at < bytes.byteLength; at += CHUNK) {
        const part = bytes.subarray(at, at + CHUNK);
        await writers.use(async (buffer) => {
          await buffer.mapAsync(MAP_MODE.write);
          new Uint8Array(buffer.getMappedRange(0, wholeWords(part.byteLength))).set(part);
          buffer.unmap();
          copy(buffer, 0, target, at, wholeWords(part.byteLength));
        });
      }
    },
    async download(source, bytes) {
      const parts: Promise<void>[] = [];
      for (let at = 0; at < bytes.byteLength; at += CHUNK) {
        const part = bytes.subarray(at, at + CHUNK);
        parts.push(
          readers.use(async (buffer) => {
            const size = wholeWords(part.byteLength);
            copy(source, at, buffer, 0, size);
            await buffer.mapAsync(MAP_MODE.read, 0, size);
            part.set(new Uint8Array(buffer.getMappedRange(0, size), 0, part.byteLength));
            buffer.unmap();
          }),
        );
      }
      await Promise.all(parts);
    },
    close() {
      writers.close();
      readers.close();
    },
  };
}

function wholeWords(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/** A few staging buffers; whoever finds none idle waits for one. */
function createRing(device: GPUDevice, usage: number) {
  const idle: GPUBuffer[] = [];
  const all: GPUBuffer[] = [];
  const waiting: ((buffer: GPUBuffer) => void)[] = [];

  const take = (): Promise<GPUBuffer> | GPUBuffer => {
    const found = idle.pop();
    if (found) return found;
    if (all.length < RING) {
      const buffer = device.createBuffer({ size: CHUNK, usage });
      all.push(buffer);
      return buffer;
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
  return {
    async use(body: (buffer: GPUBuffer) => Promise<void>): Promise<void> {
      const buffer = await take();
      try {
        await body(buffer);
      } finally {
        const next = waiting.shift();
        if (next) next(buffer);
        else idle.push(buffer);
      }
    },
    close() {
      for (const buffer of all) buffer.destroy();
    },
  };
}
