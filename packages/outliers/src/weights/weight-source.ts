import { type Backend, type BufferHandle, CalibrantError, type RunOptions, type Tensor } from '@calibrant/core';
import { inOrder } from '../in-order.js';
import type { Place } from '../report-types.js';

/** A weight that is read by rows. */
export interface WeightSource {
  readonly name: string;
  readonly place: Place;
  /** `[out, in]`. */
  readonly shape: readonly [number, number];
  /** Rows `[start, end)` as f32 `[rows, in]`. */
  rows(start: number, end: number): Promise<Tensor>;
}

/** A weight as buffers of some rows each, one after another on every lane. */
export interface WeightChunks {
  readonly count: number;
  /** Runs `work` on every chunk, and merges the results in order. */
  pass<Result>(
    work: (x: BufferHandle, firstRow: number) => Promise<Result>,
    merge: (result: Result, firstRow: number) => void,
    run?: RunOptions,
  ): Promise<void>;
  /** Frees what is kept. */
  release(): void;
}

/**
 * Cuts a weight into chunks. Those of a weight of at most `keepBytes` (as f32) stay on the backend between passes; a larger one is read again in each pass, so that
 * memory does not grow with it.
 */
export function weightChunks(
  backend: Backend,
  { name, shape, rows }: WeightSource,
  { keepBytes, chunkBytes }: { readonly keepBytes: number; readonly chunkBytes: number },
): WeightChunks {
  const [out, width] = shape;
  const step = Math.max(1, Math.floor(chunkBytes / 4 / Math.max(1, width)));
  const count = Math.ceil(out / step);
  const keep = out * width * 4 <= keepBytes;
  const kept: (BufferHandle | undefined)[] = [];

  const load = async (chunk: number): Promise<BufferHandle> => {
    const held = kept[chunk];
    if (held) return held;
    const value = await rows(chunk * step, Math.min(out, (chunk + 1) * step));
    if (value.dtype !== 'f32')
      throw new CalibrantError('INVALID_ARGUMENT', `${name}: rows must come as f32, found ${value.dtype}.`, { tensor: name });
    const handle = await backend.upload(value, { lane: chunk % backend.lanes });
    if (keep) kept[chunk] = handle;
    return handle;
  };
  return {
    count,
    async pass(work, merge, { signal } = {}) {
      await inOrder(
        count,
        backend.lanes + 1,
        async (chunk) => {
          const x = await load(chunk);
          try {
            return await work(x, chunk * step);
          } finally {
            if (!keep) backend.free(x);
          }
        },
        (result, chunk) => merge(result, chunk * step),
        signal,
      );
    },
    release() {
      backend.free(...kept);
      kept.length = 0;
    },
  };
}
