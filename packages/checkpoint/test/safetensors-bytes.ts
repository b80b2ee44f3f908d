import type { ByteSink, ByteSource } from '@calibrant/core';

/** A safetensors file made by hand, independent of the package's writer: header text as given, then the data. */
export function safetensorsBytes(header: unknown, data: Uint8Array | number = 0): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const body = typeof data === 'number' ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + json.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(body, 8 + json.length);
  return bytes;
}

/** A source over memory that records what was read. */
export function memorySource(bytes: Uint8Array, name = 'model.safetensors'): ByteSource & { reads: { offset: number; length: number }[] } {
  const reads: { offset: number; length: number }[] = [];
  return {
    name,
    size: bytes.length,
    reads,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > bytes.length)
        throw new RangeError(`read of ${offset}+${length} outside ${bytes.length}`);
      reads.push({ offset, length });
      return bytes.subarray(offset, offset + length);
    },
    close: async () => undefined,
  };
}

/** A sink into memory. */
export function memorySink(name = 'model.safetensors'): ByteSink & { bytes(): Uint8Array; closed: boolean } {
  let content = new Uint8Array(0);
  const sink = {
    name,
    closed: false,
    bytes: () => content,
    async write(offset: number, bytes: Uint8Array) {
      if (offset + bytes.length > content.length) {
        const grown = new Uint8Array(offset + bytes.length);
        grown.set(content);
        content = grown;
      }
      content.set(bytes, offset);
    },
    async close() {
      sink.closed = true;
    },
  };
  return sink;
}
