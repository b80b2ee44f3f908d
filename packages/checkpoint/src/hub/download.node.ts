import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { fileError } from '../files/file-error.node.js';
import { makeFolder } from '../files/make-folder.node.js';
import { writeAll } from '../files/write-all.node.js';
import type { HubFile } from './cache.node.js';
import { type RetryOptions, retryable, withRetries } from './retry.js';

export interface Download extends RetryOptions {
  readonly url: string;
  readonly file: HubFile;
  readonly blobPath: string;
  readonly fetch: typeof fetch;
  /** Called with the bytes of this file that are here. */
  readonly onBytes: (have: number) => void;
}

/**
 * Downloads one file to `blobPath`. What has arrived is kept in `blobPath.incomplete`; a broken connection is taken up again from there by a
 * Range request, in this run or the next. The file gets its name only when its hash is right; a wrong one is thrown away and fetched once more.
 *
 * @throws CalibrantError `CORRUPT_FILE` when the hash is wrong twice, `NETWORK`, `DISK_FULL`, `ABORTED`.
 */
export async function downloadBlob(download: Download): Promise<void> {
  const { file, blobPath } = download;
  const partial = `${blobPath}.incomplete`;
  await makeFolder(dirname(blobPath)).catch((cause) => {
    throw fileError('Creating', dirname(blobPath), cause);
  });
  let found = await fetchAndHash(download, partial);
  if (found !== file.hash) {
    await rm(partial, { force: true });
    found = await fetchAndHash(download, partial);
  }
  if (found !== file.hash) {
    await rm(partial, { force: true });
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${file.path} arrived damaged twice: its ${file.algorithm === 'sha256' ? 'SHA-256' : 'git SHA-1'} is ${found}, expected ${file.hash}. A proxy may be changing it; try again later or from another network.`,
      { file: download.url, expected: file.hash, found },
    );
  }
  await rename(partial, blobPath).catch(async (cause) => {
    // Another process may have finished the same file in the meantime.
    if ((await stat(blobPath).catch(() => undefined))?.size !== file.size) throw fileError('Renaming', partial, cause);
  });
}

/** Completes the partial file and returns its hash. */
async function fetchAndHash(download: Download, partial: string): Promise<string> {
  const { file } = download;
  const handle = await open(partial, 'a+')
    .then((appending) => appending.close())
    .then(() => open(partial, 'r+'))
    .catch((cause) => {
      throw fileError('Creating', partial, cause);
    });
  try {
    const state = await resume(handle, partial, file);
    download.onBytes(state.have);
    await withRetries(() => fetchRest(download, handle, state), { ...download, progress: () => state.have });
    await handle.sync();
    return state.hash.digest('hex');
  } catch (cause) {
    throw fileError('Writing', partial, cause);
  } finally {
    await handle.close();
  }
}

interface DownloadState {
  have: number;
  hash: Hash;
}

async function resume(handle: FileHandle, partial: string, file: HubFile): Promise<DownloadState> {
  const { size } = await handle.stat();
  if (size > file.size) await handle.truncate(0);
  const state: DownloadState = { have: size > file.size ? 0 : size, hash: newHash(file) };
  if (state.have > 0) for await (const chunk of createReadStream(partial, { end: state.have - 1 })) state.hash.update(chunk);
  return state;
}

async function fetchRest({ url, file, fetch, onBytes, signal }: Download, handle: FileHandle, state: DownloadState): Promise<void> {
  if (state.have >= file.size) return;
  // A compressed answer would not have the file's own offsets.
  const headers = { 'accept-encoding': 'identity', ...(state.have > 0 ? { range: `bytes=${state.have}-` } : {}) };
  const response = await fetch(url, { headers });
  const begins = response.status === 206 ? Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]) : 0;
  if (begins !== state.have) {
    if (begins !== 0) {
      await response.body?.cancel();
      throw retryable(`${url}: bytes from ${state.have} were asked for, the answer begins at ${begins}.`, { file: url });
    }
    // The server does not do ranges: all over again.
    state.have = 0;
    state.hash = newHash(file);
  }
  for await (const chunk of chunksOf(response, url, state, signal)) {
    if (state.have + chunk.byteLength > file.size)
      throw new CalibrantError('CORRUPT_FILE', `${url} sends more than the ${file.size} bytes that the Hub listed. Try again later.`, {
        file: url,
      });
    await writeAll(handle, chunk, state.have);
    state.hash.update(chunk);
    state.have += chunk.byteLength;
    onBytes(state.have);
  }
  if (state.have < file.size) throw broken(url, state.have, file.size);
}

async function* chunksOf(
  response: Response,
  url: string,
  state: DownloadState,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        if (signal?.aborted) throw new CalibrantError('ABORTED', 'The download was cancelled.', { cause });
        throw broken(url, state.have, undefined, cause);
      });
      if (done) return;
      yield value;
    }
  } finally {
    // Also when the consumer stops early; a connection that broke has nothing left to cancel.
    await reader.cancel().catch(() => undefined);
  }
}

function broken(url: string, have: number, size: number | undefined, cause?: unknown): CalibrantError {
  return retryable(
    `The connection broke after ${have}${size === undefined ? '' : ` of ${size}`} bytes of ${url}. What has arrived is kept: run the same command again to go on from there.`,
    { file: url, cause },
  );
}

function newHash(file: HubFile): Hash {
  if (file.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${file.size}\0`);
}
