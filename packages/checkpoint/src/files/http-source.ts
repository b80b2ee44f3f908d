import { type ByteSource, CalibrantError } from '@calibrant/core';
import { retryable, withRetries } from '../hub/retry.js';
import { openRange, type RangeRequest } from './http-range.js';

export interface HttpSourceOptions {
  /** Sent with every request: `{ authorization: 'Bearer …' }`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Failures in a row without progress before a read is given up; 5 unless set. */
  readonly retries?: number;
  /** Milliseconds before the first repetition, doubled with every failure; 500 unless set. */
  readonly retryDelay?: number;
  /** Milliseconds without a byte after which a connection counts as lost; 30 000 unless set. */
  readonly stallTimeout?: number;
  readonly signal?: AbortSignal;
  /** Instead of the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/**
 * A remote file, read by HTTP range requests: only the bytes that are asked for are transferred. An interrupted read goes on where it stopped.
 *
 * @throws CalibrantError `NOT_FOUND`; `UNSUPPORTED` where the server does not answer range requests; `NETWORK` for everything else that goes wrong
 * on the way; `CORRUPT_FILE` when the file changes while it is read.
 * @example
 * const source = await httpSource('https://example.org/model.gguf');
 * const magic = await source.read(0, 4);
 */
export async function httpSource(url: string, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const { retries = 5, retryDelay = 500, stallTimeout = 30_000, signal, headers = {} } = options;
  const request: RangeRequest = { url, headers, stallTimeout, signal, fetch: options.fetch ?? fetch };
  const again = { retries, retryDelay, ...(signal ? { signal } : {}) };
  const first = await withRetries(async () => {
    const range = await openRange(request, 0, 1);
    await range.cancel();
    return range;
  }, again);
  const { size, tag } = first;
  return {
    name: url,
    size,
    async read(offset, length) {
      if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= size))
        throw new CalibrantError('CORRUPT_FILE', `${url} has ${size} bytes; bytes ${offset} to ${offset + length} were asked for.`, {
          file: url,
          offset,
        });
      const bytes = allocate(url, length);
      let done = 0;
      const attempt = async () => {
        if (done === length) return;
        const range = await openRange(request, offset + done, length - done);
        try {
          if (range.size !== size || range.tag !== tag)
            throw new CalibrantError('CORRUPT_FILE', `${url} changed while it was read. Start again.`, { file: url });
          for (let chunk = await range.next(); chunk; chunk = await range.next()) {
            if (chunk.length > length - done)
              throw new CalibrantError('NETWORK', `${url}: the server sent more than the bytes that were asked for.`, { file: url });
            bytes.set(chunk, done);
            done += chunk.length;
          }
        } finally {
          await range.cancel();
        }
        if (done < length)
          throw retryable(`${url}: the connection ended at byte ${offset + done}, before byte ${offset + length}.`, { file: url });
      };
      await withRetries(attempt, { ...again, progress: () => done });
      return bytes;
    },
    sibling: (name) => httpSource(siblingUrl(url, name), options),
    async close() {},
  };
}

/** The last part of the path replaced; a query stays. */
function siblingUrl(url: string, name: string): string {
  const other = new URL(url);
  other.pathname = other.pathname.replace(/[^/]*$/, encodeURIComponent(name));
  return other.href;
}

function allocate(url: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new CalibrantError('OUT_OF_MEMORY', `${url}: no memory for ${length} bytes. Read fewer rows at a time.`, { file: url, cause });
  }
}
