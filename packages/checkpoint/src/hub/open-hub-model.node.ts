import { CalibrantError, type RunOptions } from '@calibrant/core';
import { fileError } from '../files/file-error.node.js';
import { type ModelFolder, openModelFolder } from '../folder/model-folder.node.js';
import { COMMIT, type RepoCache, repoCache } from './cache.node.js';
import { downloadModel } from './download-model.node.js';
import { isRepoId, isSafeRevision } from './model-reference.js';
import { resolveCommit } from './repo-files.js';
import { hubFetch } from './request.js';
import { withRetries } from './retry.js';
import { checkedToken, hubEnvironment, hubToken } from './settings.node.js';

export interface HubModelOptions extends RunOptions {
  /** Branch, tag or commit; `main` if absent. */
  readonly revision?: string;
  /** The Hugging Face cache; from `HF_HUB_CACHE`, `HF_HOME` if absent. */
  readonly cacheFolder?: string;
  /** Use only what is in the cache; from `HF_HUB_OFFLINE` if absent. */
  readonly offline?: boolean;
  /** From `HF_TOKEN` or the file that `hf auth login` wrote, if absent. */
  readonly token?: string;
  /** From `HF_ENDPOINT`, else https://huggingface.co. */
  readonly hubUrl?: string;
  readonly fetch?: typeof fetch;
  /** Failures in a row, without a byte in between, after which a download gives up; 5 if absent. */
  readonly retries?: number;
  /** Milliseconds before the first repetition, 500 if absent; doubles each time. */
  readonly retryDelay?: number;
}

/** A model of the Hub, open in the local cache. Its name is `organisation/name@commit`. */
export interface HubModel extends ModelFolder {
  readonly repo: string;
  /** The commit that the revision was: opening that again gives the same bytes. */
  readonly commit: string;
}

/**
 * Opens a model of the Hugging Face Hub: resolves the revision to a commit, downloads the files that are not in the cache (weights as
 * safetensors, configuration, tokenizer, chat template, licence), checks their hashes, and opens the snapshot. Broken downloads go on where
 * they stopped. When the Hub cannot be reached, a complete copy in the cache is used, with a warning.
 *
 * @throws CalibrantError `NETWORK`, `NOT_FOUND`, `UNSUPPORTED` (no safetensors), `CORRUPT_FILE` (wrong hash), `DISK_FULL`, `ABORTED`.
 * @example
 * const model = await openHubModel('HuggingFaceTB/SmolLM2-135M', { revision: 'main' });
 * console.log(model.name); // HuggingFaceTB/SmolLM2-135M@93efa2f0…
 */
export async function openHubModel(repo: string, options: HubModelOptions = {}): Promise<HubModel> {
  const environment = hubEnvironment();
  const { revision = 'main', cacheFolder = environment.cacheFolder, offline = environment.offline, onEvent, signal } = options;
  if (!isRepoId(repo)) throw new CalibrantError('INVALID_ARGUMENT', `"${repo}" is not the name of a Hub model. Write organisation/name.`);
  if (!isSafeRevision(revision))
    throw new CalibrantError('INVALID_ARGUMENT', `"${revision}" is not a revision. Name a branch, a tag or a commit of ${repo}.`);
  const cache = repoCache(cacheFolder, repo);
  if (offline) return openCached(cache, repo, revision, 'offline mode is on (HF_HUB_OFFLINE). Turn it off to download');

  const token = options.token === undefined ? await hubToken() : checkedToken(options.token, 'the option "token"');
  const hubUrl = (options.hubUrl ?? environment.hubUrl).replace(/\/+$/, '');
  const retry = { retries: options.retries ?? 5, retryDelay: options.retryDelay ?? 500, ...(signal ? { signal } : {}) };
  const fetch = hubFetch({
    repo,
    revision,
    hubUrl,
    fetch: options.fetch ?? globalThis.fetch,
    ...(token === undefined ? {} : { token }),
    ...(signal ? { signal } : {}),
  });
  let commit: string;
  try {
    commit = COMMIT.test(revision) ? revision : await withRetries(() => resolveCommit({ repo, revision, hubUrl, fetch }), retry);
    await downloadModel({ repo, revision: commit, hubUrl, fetch }, cache, { ...retry, ...(onEvent ? { onEvent } : {}) });
  } catch (error) {
    if (!CalibrantError.isInstance(error) || error.details['retryable'] !== true) throw error;
    const cached = await openCached(cache, repo, revision, 'the Hub cannot be reached').catch(() => {
      throw error;
    });
    onEvent?.({ warning: `${error.message} Using the copy in the cache, commit ${cached.commit}.`, item: repo });
    return cached;
  }
  await cache.remember(revision, commit);
  return openSnapshot(cache, repo, commit);
}

/** Opens what the cache has. `because` says why nothing is downloaded, and ends in what to do. */
async function openCached(cache: RepoCache, repo: string, revision: string, because: string): Promise<HubModel> {
  const commit = await cache.commitOf(revision);
  const refuse = (what: string, cause?: unknown) =>
    new CalibrantError('NOT_FOUND', `${repo} (revision ${revision}) is ${what} in the cache ${cache.path}, and ${because}.`, {
      file: cache.path,
      cause,
    });
  if (commit === undefined) throw refuse('not');
  try {
    return await openSnapshot(cache, repo, commit);
  } catch (error) {
    const found = fileError('Opening', cache.path, error);
    if (CalibrantError.isInstance(found) && found.code === 'NOT_FOUND') throw refuse('not complete', found);
    throw found;
  }
}

async function openSnapshot(cache: RepoCache, repo: string, commit: string): Promise<HubModel> {
  const folder = await openModelFolder(cache.snapshotPath(commit), { name: `${repo}@${commit}` });
  return { ...folder, repo, commit };
}
