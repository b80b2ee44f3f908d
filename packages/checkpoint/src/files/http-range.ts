import { CalibrantError } from '@calibrant/core';
import { retryable } from '../hub/retry.js';

export interface RangeRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly stallTimeout: number;
  readonly signal: AbortSignal | undefined;
  readonly fetch: typeof fetch;
}

/** An answer under way. */
export interface HttpRange {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Names the file's contents, where the server says so. */
  readonly tag: string | null;
  /** The next bytes; undefined at the end. */
  next(): Promise<Uint8Array | undefined>;
  cancel(): Promise<void>;
}

/** Asks for bytes of a file and checks that the server means to send exactly these. */
export async function openRange(request: RangeRequest, start: number, length: number): Promise<HttpRange> {
  const { url, signal } = request;
  const stall = stallSignal(request.stallTimeout, signal);
  const lost = (cause: unknown): CalibrantError => {
    if (signal?.aborted) return new CalibrantError('ABORTED', 'The download was cancelled.', { cause });
    return retryable(`${url} cannot be reached (${stall.fired() ? 'no answer in time' : reasonOf(cause)}). Check the connection.`, {
      file: url,
      cause,
    });
  };
  let response: Response;
  try {
    const headers = { ...request.headers, range: `bytes=${start}-${start + length - 1}`, 'accept-encoding': 'identity' };
    response = await request.fetch(url, { headers, signal: stall.signal });
  } catch (cause) {
    stall.stop();
    throw lost(cause);
  }
  const reader = response.body?.getReader();
  const cancel = async () => {
    stall.stop();
    await reader?.cancel().catch(() => undefined);
  };
  try {
    const size = checkedSize(url, response, start, length);
    return {
      size,
      tag: response.headers.get('etag') ?? response.headers.get('last-modified'),
      async next() {
        stall.restart();
        try {
          return (await reader?.read())?.value;
        } catch (cause) {
          throw lost(cause);
        }
      },
      cancel,
    };
  } catch (error) {
    await cancel();
    throw error;
  }
}

/** The whole file's size, from an answer that is what was asked for. */
function checkedSize(url: string, response: Response, start: number, length: number): number {
  const { status } = response;
  const error = (code: 'NETWORK' | 'NOT_FOUND' | 'UNSUPPORTED' | 'CORRUPT_FILE', message: string) =>
    new CalibrantError(code, message, { file: url, status });
  if (status === 200)
    throw error(
      'UNSUPPORTED',
      `The server of ${url} does not answer range requests, so that the file cannot be read in parts. Download it and give its path.`,
    );
  if (status === 404 || status === 410) throw error('NOT_FOUND', `There is no file at ${url} (${status}). Check the address.`);
  if (status === 401 || status === 403)
    throw error(
      'NETWORK',
      `Access to ${url} was refused (${status}). It needs a token or other permissions; or download it and give its path.`,
    );
  if (status === 408 || status === 429 || status >= 500)
    throw retryable(`The server answered ${status} for ${url}. Try again later.`, { file: url, status, retryAfter: retryAfter(response) });
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  if (status === 416) throw error('CORRUPT_FILE', `${url} is empty, or shorter than it was: byte ${start} is behind its end.`);
  const size = Number(range?.[3]);
  if (
    status !== 206 ||
    !range ||
    Number(range[1]) !== start ||
    !Number.isSafeInteger(size) ||
    Number(range[2]) !== Math.min(size, start + length) - 1
  )
    throw error(
      'NETWORK',
      `The server answered the request for bytes ${start} to ${start + length} of ${url} with ${status} and "${response.headers.get('content-range') ?? 'no content-range'}", which does not fit. Download the file and give its path.`,
    );
  return size;
}

/** A signal that fires when nothing has happened for a time, or when the caller cancels. */
function stallSignal(milliseconds: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  let fired = false;
  const fire = () => {
    fired = true;
    controller.abort(new Error('no answer in time'));
  };
  let timer = setTimeout(fire, milliseconds);
  const cancel = () => controller.abort(outer?.reason);
  if (outer?.aborted) cancel();
  else outer?.addEventListener('abort', cancel, { once: true });
  return {
    signal: controller.signal,
    fired: () => fired,
    restart() {
      clearTimeout(timer);
      timer = setTimeout(fire, milliseconds);
    },
    stop() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', cancel);
    },
  };
}

/** Milliseconds; 0 when the header is absent or a date. */
function retryAfter(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) ? seconds * 1000 : 0;
}

/** undici hides the reason (`ECONNREFUSED …`) in the cause. */
function reasonOf(error: unknown): string {
  const cause = (error as { cause?: { message?: string } })?.cause;
  return cause?.message || (error as Error).message;
}
