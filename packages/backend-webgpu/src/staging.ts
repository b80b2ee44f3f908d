import { BUFFER_USAGE, MAP_MODE } from './gpu-flags.js';

/** Moves bytes between the host and the device through mapped buffers that are used again: the first touch of a new one is slow. */
export interface Staging {
  /** Copies `bytes` to the start of `target`. The caller may change them once it resolves. */
  upload(target: GPUBuffer, bytes: Uint8Array): Promise<void>;
  /** Copies the start of `source` into `bytes`. */
  download(source: GPUBuffer, bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Long enough that waiting for a buffer is little beside copying into it; short enough that copies by host and device overlap. */
const CHUNK = 8 * 2 ** 20;
const RING = 4;
/** Below this a copy through the queue's own staging is quicker than mapping. */
const SMALL = 64 * 2 ** 10;

export function createStaging(device: GPUDevice): Staging {
  // Buffers for writing wait mapped: the host fills the next ones while the device still reads those before.
  const writers = createRing(device, BUFFER_USAGE.mapWrite | BUFFER_USAGE.copySrc, (buffer) => buffer.mapAsync(MAP_MODE.write));
  const readers = createRing(device, BUFFER_USAGE.mapRead | BUFFER_USAGE.copyDst, async () => undefined);

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
        const size = wholeWords(part.byteLength);
        await writers.use((buffer) => {
          new Uint8Array(buffer.getMappedRange(0, size)).set(part);
          buffer.unmap();
          copy(buffer, 0, target, at, size);
        });
      }
    },
    async download(source, bytes) {
      const parts: Promise<void>[] = [];
      for (let at = 0; at < bytes.byteLength; at += CHUNK) {
        const part = bytes.subarray(at, at + CHUNK);
        const size = wholeWords(part.byteLength);
        parts.push(
          readers.use(async (buffer) => {
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

/** A few staging buffers, used in turn. Each is made ready when it is new and again after every use, before it is next waited for. */
function createRing(device: GPUDevice, usage: number, makeReady: (buffer: GPUBuffer) => Promise<undefined>) {
  const slots: ({ readonly buffer: GPUBuffer; ready: Promise<undefined> } | undefined)[] = [];
  let turn = 0;

  return {
    /** Resolves when `body` is done, which starts when a buffer is ready. */
    async use(body: (buffer: GPUBuffer) => Promise<void> | void): Promise<void> {
      const index = turn++ % RING;
      let slot = slots[index];
      if (!slot) {
        const buffer = device.createBuffer({ size: CHUNK, usage });
        slot = { buffer, ready: makeReady(buffer) };
        slots[index] = slot;
      }
      const { buffer, ready } = slot;
      const done = ready.then(() => body(buffer));
      slot.ready = done.then(() => makeReady(buffer));
      // A buffer that failed is replaced when its turn comes again; whoever is waiting for it hears of the failure.
      slot.ready.catch(() => {
        if (slots[index]?.buffer !== buffer) return;
        slots[index] = undefined;
        buffer.destroy();
      });
      await done;
    },
    close() {
      for (const slot of slots) slot?.buffer.destroy();
      slots.length = 0;
    },
  };
}
