import { type ByteSink, type ByteSource, CalibrantError, type OutputFolder } from '@calibrant/core';

/** Bytes as a source. */
export function memorySource(bytes: Uint8Array, name = 'model.gguf'): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      if (offset + length > bytes.length) throw new Error(`read past the end: ${offset} + ${length} of ${bytes.length}`);
      return bytes.subarray(offset, offset + length);
    },
    async close() {},
  };
}

/** A sink that keeps what was written. */
export function memorySink(name = 'model.gguf'): ByteSink & { bytes(): Uint8Array; closed: boolean } {
  let held = new Uint8Array(0);
  return {
    name,
    closed: false,
    async write(offset, bytes) {
      if (offset + bytes.length > held.length) {
        const grown = new Uint8Array(offset + bytes.length);
        grown.set(held);
        held = grown;
      }
      held.set(bytes, offset);
    },
    async close() {
      this.closed = true;
    },
    bytes: () => held,
  };
}

/** A folder in memory. */
export function memoryFolder(): OutputFolder & { files: Map<string, ReturnType<typeof memorySink>>; sizes: Map<string, number> } {
  const files = new Map<string, ReturnType<typeof memorySink>>();
  const sizes = new Map<string, number>();
  return {
    files,
    sizes,
    async create(name, options) {
      const sink = memorySink(name);
      files.set(name, sink);
      sizes.set(name, options?.bytes ?? -1);
      return sink;
    },
    async writeText() {},
  };
}

/** A source among others of its folder. Counts what is open. */
export function folderSource(files: ReadonlyMap<string, Uint8Array>, name: string, open = new Set<ByteSource>()): ByteSource {
  const bytes = files.get(name);
  if (!bytes) throw new CalibrantError('NOT_FOUND', `there is no ${name}`);
  const source: ByteSource = {
    ...memorySource(bytes, name),
    async sibling(other) {
      return folderSource(files, other, open);
    },
    async close() {
      open.delete(source);
    },
  };
  open.add(source);
  return source;
}
