import type { Backend, BufferHandle } from './backend.js';
import type { TypedArray } from './dtype.js';

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

/** Results of enqueued kernels on their way to sums. */
export interface OrderedFetch {
  /** Fetches and frees the buffers; `add` is called with them after those of all earlier calls, so that sums depend neither on lanes nor on timing. */
  push<Name extends string>(handles: Readonly<Record<Name, BufferHandle>>, add: (found: Record<Name, TypedArray>) => void): void;
  /** Waits until few are on their way. Call between units of work. */
  settle(): Promise<void>;
  /** Waits for all. Rejects with the first failure. */
  finish(): Promise<void>;
}

/** @param inFlight results that wait for the backend before the oldest is fetched: bounds memory, keeps the lanes busy */
export function createOrderedFetch(backend: Backend, inFlight: number): OrderedFetch {
  const waiting: { readonly fetched: Promise<unknown>; readonly add: () => Promise<void> }[] = [];
  const addOldest = async (): Promise<void> => waiting.shift()?.add();
  return {
    push(handles, add) {
      const fetched = fetchAll(backend, handles);
      fetched.catch(() => {}); // reported in its turn
      waiting.push({ fetched, add: async () => add(await fetched) });
    },
    async settle() {
      while (waiting.length > inFlight) await addOldest();
    },
    async finish() {
      try {
        while (waiting.length > 0) await addOldest();
      } finally {
        await Promise.allSettled(waiting.map(({ fetched }) => fetched));
      }
    },
  };
}
