import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CalibrantError, type RunOptions } from '@calibrant/core';
import { freeBytes } from '../files/file-sink.node.js';
import { makeFolder } from '../files/make-folder.node.js';
import { INDEX_FILE } from '../safetensors/index-file.js';
import type { HubFile, RepoCache } from './cache.node.js';
import { downloadBlob } from './download.node.js';
import { type HubQuery, listModelFiles, sideFiles, weightFiles } from './repo-files.js';
import { type RetryOptions, withRetries } from './retry.js';

/** One connection to the Hub's storage rarely fills a fast line. */
const CONNECTIONS = 4;

export interface ModelDownload extends RetryOptions, RunOptions {}

/** Brings every file of the model at a commit (`query.revision`) into the cache; what is there already is not fetched again. */
export async function downloadModel(query: HubQuery, cache: RepoCache, options: ModelDownload): Promise<void> {
  const { repo, revision: commit } = query;
  const { all, wanted } = await withRetries(() => listModelFiles(query), options);
  const side = sideFiles(wanted);
  await downloadFiles(query, cache, side, options);
  const indexText = side.some((file) => file.path === INDEX_FILE)
    ? await readFile(join(cache.snapshotPath(commit), INDEX_FILE), 'utf8')
    : undefined;
  await downloadFiles(query, cache, weightFiles(`${repo}@${commit}`, all, wanted, indexText), options);
}

/** Brings files of a repository at a commit (`query.revision`) into the cache. */
export async function downloadFiles(query: HubQuery, cache: RepoCache, files: readonly HubFile[], options: ModelDownload): Promise<void> {
  const { repo, revision: commit, hubUrl, fetch } = query;
  const missing: HubFile[] = [];
  for (const file of files) if (!(await cache.has(commit, file))) missing.push(file);
  const total = missing.reduce((sum, file) => sum + file.size, 0);
  await requireSpace(cache, total, repo);
  const report = progressReporter(total, options);
  let failed = false;
  const queue = [...missing];
  const worker = async () => {
    for (let file = queue.shift(); file && !failed; file = queue.shift()) {
      const { path } = file;
      const escaped = path.split('/').map(encodeURIComponent).join('/');
      const url = `${hubUrl}/${query.type === 'dataset' ? 'datasets/' : ''}${repo}/resolve/${commit}/${escaped}`;
      await downloadBlob({ ...options, url, file, blobPath: cache.blobPath(file), fetch, onBytes: (have) => report(path, have) });
      await cache.link(commit, file);
    }
  };
  const workers = Array.from({ length: Math.min(CONNECTIONS, missing.length) }, () =>
    worker().catch((error) => {
      failed = true;
      throw error;
    }),
  );
  // All must have let go of their files before the first error is passed on.
  const failure = (await Promise.allSettled(workers)).find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

async function requireSpace(cache: RepoCache, needed: number, repo: string): Promise<void> {
  if (needed === 0) return;
  await makeFolder(cache.path).catch(() => undefined);
  const free = await freeBytes(cache.path);
  if (free !== undefined && free < needed)
    throw new CalibrantError(
      'DISK_FULL',
      `Downloading ${repo} needs ${needed} bytes in ${cache.path}, and the disk has ${free} free. Free some space, or set HF_HOME to a folder on another disk.`,
      { file: cache.path, neededBytes: needed, freeBytes: free },
    );
}

function progressReporter(total: number, { onEvent }: RunOptions): (path: string, have: number) => void {
  const byFile = new Map<string, number>();
  let reportedAt = 0;
  return (path, have) => {
    byFile.set(path, have);
    const done = [...byFile.values()].reduce((sum, bytes) => sum + bytes, 0);
    // Ten times a second is what a person can see.
    if (done < total && Date.now() - reportedAt < 100) return;
    reportedAt = Date.now();
    onEvent?.({ phase: 'Downloading', done, total, unit: 'bytes', item: path });
  };
}
