import { CalibrantError } from '@calibrant/core';
import { datasetInfo, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { missingWeights } from '../folder/missing-weights.js';
import { INDEX_FILE, parseSafetensorsIndex } from '../safetensors/index-file.js';
import type { HubFile } from './cache.node.js';
import { retryable } from './retry.js';

/** What a model needs beside its weights. */
const SIDE_FILE = /\.(json|jinja|tiktoken)$|^(tokenizer|spiece|sentencepiece\.bpe)\.model$|^merges\.txt$|^vocab\.txt$|^LICEN[SC]E(\.|$)/i;
const SHA1 = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

export interface HubQuery {
  readonly repo: string;
  readonly revision: string;
  readonly hubUrl: string;
  readonly fetch: typeof fetch;
  /** `model` if absent. */
  readonly type?: 'model' | 'dataset';
}

/** The commit that a branch or tag is now. */
export async function resolveCommit({ repo, revision, hubUrl, fetch, type = 'model' }: HubQuery): Promise<string> {
  const wanted = { name: repo, revision, hubUrl, fetch, additionalFields: ['sha' as const] };
  const { sha } = await (type === 'dataset' ? datasetInfo(wanted) : modelInfo(wanted)).catch((error) => {
    throw unreadable(hubUrl, error);
  });
  if (!SHA1.test(sha))
    throw new CalibrantError('NETWORK', `${hubUrl} gave "${sha}" as the commit of ${repo} at ${revision}. Try again later.`);
  return sha;
}

/** The files of a repository's top folder that a model is made of, with their hashes. Names and hashes are checked: they become paths. */
export async function listModelFiles({ repo, revision, hubUrl, fetch }: HubQuery): Promise<{ all: string[]; wanted: HubFile[] }> {
  const query = { repo, revision, hubUrl, fetch };
  const entries = await listEntries(query, false);
  const wanted = entries
    .filter(({ path }) => path.endsWith('.safetensors') || SIDE_FILE.test(path))
    .map((entry) => checkedFile(entry, query));
  return { all: entries.map((entry) => entry.path), wanted };
}

/** The files with text of a data set, in all its folders, in the order of their paths. Names and hashes are checked. */
export async function listDataFiles(query: HubQuery): Promise<HubFile[]> {
  const entries = await listEntries({ ...query, type: 'dataset' }, true);
  return entries
    .filter(({ path }) => /\.(parquet|jsonl|txt)$/i.test(path))
    .map((entry) => checkedFile(entry, query))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function listEntries({ repo, revision, hubUrl, fetch, type = 'model' }: HubQuery, recursive: boolean): Promise<ListFileEntry[]> {
  const entries: ListFileEntry[] = [];
  try {
    for await (const entry of listFiles({ repo: { type, name: repo }, revision, hubUrl, fetch, recursive }))
      if (entry.type === 'file') entries.push(entry);
  } catch (error) {
    throw unreadable(hubUrl, error);
  }
  return entries;
}

function checkedFile(entry: ListFileEntry, { repo, hubUrl, type }: HubQuery): HubFile {
  const hash = entry.lfs?.oid ?? entry.oid ?? '';
  const size = entry.lfs?.size ?? entry.size;
  const wellFormed = (entry.lfs ? SHA256 : SHA1).test(hash) && Number.isSafeInteger(size) && size >= 0;
  const segments = entry.path.split('/');
  const safe = segments.every((name) => name !== '' && !name.startsWith('.') && !/[\\:\0]/.test(name));
  if (!wellFormed || !safe || (segments.length > 1 && type !== 'dataset'))
    throw new CalibrantError('NETWORK', `${hubUrl} lists a malformed file in ${repo}: ${JSON.stringify(entry)}.`, { file: entry.path });
  return { path: entry.path, size, hash, algorithm: entry.lfs ? 'sha256' : 'git-sha1' };
}

/** A connection that broke within an answer, or an answer that is no JSON: worth another attempt. */
function unreadable(hubUrl: string, error: unknown): unknown {
  if (CalibrantError.isInstance(error)) return error;
  return retryable(`${hubUrl} gave an answer that cannot be read (${(error as Error).message}). Try again later.`, {
    file: hubUrl,
    cause: error,
  });
}

/**
 * Which of the files hold the weights: the shards that the index names, else `model.safetensors`. Other safetensors files (a second copy in
 * another layout, adapters) stay where they are.
 *
 * @param indexText the index file, if the repository has one
 */
export function weightFiles(where: string, all: readonly string[], wanted: readonly HubFile[], indexText: string | undefined): HubFile[] {
  const names =
    indexText === undefined ? ['model.safetensors'] : [...new Set(parseSafetensorsIndex(INDEX_FILE, indexText).values())].sort();
  const found = names.map((name) => wanted.find((file) => file.path === name));
  if (indexText === undefined && !found[0]) throw missingWeights(where, all);
  const missing = names.filter((_, i) => !found[i]);
  if (missing.length > 0)
    throw new CalibrantError(
      'NOT_FOUND',
      `${where} lacks ${missing.slice(0, 5).join(', ')}, which its ${INDEX_FILE} names. The repository is incomplete.`,
      {
        file: missing[0],
      },
    );
  return found as HubFile[];
}

/** The files to fetch before the weights. */
export function sideFiles(wanted: readonly HubFile[]): HubFile[] {
  return wanted.filter((file) => !file.path.endsWith('.safetensors'));
}
