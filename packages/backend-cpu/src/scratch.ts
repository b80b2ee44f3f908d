import type { LaneMemory } from '@calibrant/kernels';

/** Temporary memory of one operation. Everything is handed back when `body` is done. */
export async function withScratch<Result>(
  lane: LaneMemory,
  body: (allocate: (bytes: number) => number) => Promise<Result>,
): Promise<Result> {
  const addresses: number[] = [];
  try {
    return await body((bytes) => {
      const address = lane.arena.allocate(bytes);
      addresses.push(address);
      return address;
    });
  } finally {
    for (const address of addresses) lane.arena.release(address);
  }
}

/** The address of a buffer that WebAssembly is to read; one that lies outside the arena is copied into scratch memory. */
export function addressOf(
  lane: LaneMemory,
  buffer: { readonly address: number; readonly external?: ArrayBufferView },
  allocate: (bytes: number) => number,
): number {
  const { external } = buffer;
  if (!external) return buffer.address;
  const address = allocate(external.byteLength);
  new Uint8Array(lane.memory.buffer, address, external.byteLength).set(
    new Uint8Array(external.buffer, external.byteOffset, external.byteLength),
  );
  return address;
}
