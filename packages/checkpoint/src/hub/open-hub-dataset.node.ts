import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { COMMIT, type HubFile, type RepoCache, repoCache } from './cache.node.js';
import { downloadFiles } from './download-model.node.js';
import { isRepoId, isSafeRevision } from './model-reference.js';
import type { HubModelOptions } from './open-hub-model.node.js';
import { type HubQuery, listDataFiles, resolveCommit } from './repo-files.js';
import { hubFetch } from './request.js';
import { withRetries } from './retry.js';
import { checkedToken, hubEnvironment, hubToken } from './settings.node.js';

/** What a person meant by the name of a data set. */
export interface DatasetReference {
  readonly repo: string;
  readonly revision: string;
  /** `train`, or with a configuration (a folder) before it `wikitext-2-raw-v1/train`. */
  readonly split?: string;
}

/** Files of a data set in the local cache. */
export interface HubDataset {
  /** `organisation/name@commit`. */
  readonly name: string;
  readonly commit: string;
  /** Paths of the files with text, in their order. */
  readonly files: readonly string[];
  /** How many files the split has; the first of them are taken. */
  readonly filesOfSplit: number;
}

/** A few MiB of text are plenty for calibration: files are taken until they have this many bytes. */
const ENOUGH_BYTES = 32 * 2 ** 20;

/**
 * Reads `[hf:]organisation/name[@revision][:[configuration/]split]`. Undefined for what is no such name.
 *
 * @example
 * parseDatasetReference('Salesforce/wikitext:wikitext-2-raw-v1/train'); // { repo: 'Salesforce/wikitext', revision: 'main', split: 'wikitext-2-raw-v1/train' }
 */
export function parseDatasetReference(text: string): DatasetReference | undefined {
  const match = /^(?:hf:)?([^@:]+)(?:@([^:]+))?(?::([\w./-]+))?$/.exec(text);
  if (!match) return undefined;
  const [, repo, revision = 'main', split] = match;
  if (!repo.includes('/') || !isRepoId(repo) || !isSafeRevision(revision)) return undefined;
  return { repo, revision, ...(split === undefined ? {} : { split }) };
}

/**
 * Brings the text of a data set of the Hugging Face Hub into the local cache: the parquet, JSON Lines and text files of the split (`train` if there is one), as many from the beginning as hold
 * 32 MiB. What the cache holds is not fetched again; without the Hub, what the cache holds is used.
 *
 * @throws CalibrantError `NOT_FOUND` for a split without files, naming those that there are; else as {@link openHubModel}
 */
export async function openHubDataset({ repo, revision, split }: DatasetReference, options: HubModelOptions = {}): Promise<HubDataset> {
  const environment = hubEnvironment();
  const { cacheFolder = environment.cacheFolder, offline = environment.offline, onEvent, signal } = options;
  const cache = repoCache(cacheFolder, repo, 'datasets');
  if (offline) return openCached(cache, { repo, revision, split });
  const token = options.token === undefined ? await hubToken() : checkedToken(options.token, 'the option "token"');
  const hubUrl = (options.hubUrl ?? environment.hubUrl).replace(/\/+$/, '');
  const retry = { retries: options.retries ?? 5, retryDelay: options.retryDelay ?? 500, ...(signal ? { signal } : {}) };
  const connection = { repo, revision, hubUrl, fetch: options.fetch ?? globalThis.fetch };
  const fetch = hubFetch({ ...connection, what: 'data set', ...(token === undefined ? {} : { token }), ...(signal ? { signal } : {}) });
  const query: HubQuery = { repo, revision, hubUrl, fetch, type: 'dataset' };
  const commit = COMMIT.test(revision) ? revision : await withRetries(() => resolveCommit(query), retry);
  const atCommit = { ...query, revision: commit };
  const listed = await withRetries(() => listDataFiles(atCommit), retry);
  const chosen = filesOfSplit(listed, repo, split);
  const taken = firstFiles(chosen);
  await downloadFiles(atCommit, cache, taken, { ...retry, ...(onEvent ? { onEvent } : {}) });
  await cache.remember(revision, commit);
  const files = taken.map(({ path }) => join(cache.snapshotPath(commit), path));
  return { name: `${repo}@${commit}`, commit, files, filesOfSplit: chosen.length };
}

async function openCached(
  cache: RepoCache,
  { repo, revision, split }: { repo: string; revision: string; split: string | undefined },
): Promise<HubDataset> {
  const commit = await cache.commitOf(revision);
  const root = commit && cache.snapshotPath(commit);
  const paths = root ? await readdir(root, { recursive: true }).catch(() => []) : [];
  const data = paths.filter((path) => /\.(parquet|jsonl|txt)$/i.test(path)).map((path) => ({ path: path.replaceAll('\\', '/') }));
  if (!root || data.length === 0)
    throw new CalibrantError(
      'NOT_FOUND',
      `The data set ${repo} (revision ${revision}) is not in the cache ${cache.path}, and offline mode is on (HF_HUB_OFFLINE). Turn it off to download.`,
      { file: cache.path },
    );
  const chosen = filesOfSplit(
    data.sort((a, b) => (a.path < b.path ? -1 : 1)),
    repo,
    split,
  );
  return { name: `${repo}@${commit}`, commit, files: chosen.map(({ path }) => join(root, path)), filesOfSplit: chosen.length };
}

/** Splits are words in paths: `data/train-00000-of-00004.parquet`, `wikitext-2-raw-v1/train.jsonl`. */
function filesOfSplit<File extends { readonly path: string }>(
  files: readonly File[],
  repo: string,
  split: string | undefined,
): readonly File[] {
  const [name, ...folders] = (split ?? 'train').split('/').reverse();
  const isWord = (path: string, word: string) => new RegExp(`(^|[/._-])${word.replace(/[.]/g, '\\.')}([/._-]|$)`).test(path);
  const found = files.filter(({ path }) => isWord(path, name) && folders.every((folder) => path.includes(`${folder}/`)));
  if (found.length > 0) return found;
  if (split === undefined && files.length > 0) return files;
  const known = files.slice(0, 12).map(({ path }) => path);
  throw new CalibrantError(
    'NOT_FOUND',
    files.length === 0
      ? `The data set ${repo} has no parquet, .jsonl or .txt file.`
      : `The data set ${repo} has no split "${split}". Its files are ${known.join(', ')}${files.length > known.length ? ` and ${files.length - known.length} more` : ''}; write ${repo}:train, or ${repo}:folder/train.`,
    { option: 'calibration.path' },
  );
}

function firstFiles(files: readonly HubFile[]): HubFile[] {
  let bytes = 0;
  return files.filter(({ size }) => {
    const wanted = bytes < ENOUGH_BYTES;
    bytes += size;
    return wanted;
  });
}
