import type { Backend, BufferHandle, TypedArray } from '@calibrant/core';

/** Copies several buffers out and frees them. */
export async function fetchAll<Name extends string>(
  backend: Backend,
  handles: Readonly<Record<Name, BufferHandle>>,
): Promise<Record<Name, TypedArray>> {
  const entries = Object.entries(handles) as [Name, BufferHandle][];
  try {
    const fetched = await Promise.all(entries.map(async ([name, handle]) => [name, (await backend.download(handle)).data] as const));
    return Object.fromEntries(fetched) as Record<Name, TypedArray>;
  } finally {
    backend.free(...entries.map(([, handle]) => handle));
  }
}
