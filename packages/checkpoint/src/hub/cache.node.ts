import { copyFile, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileError } from '../files/file-error.node.js';
import { makeFolder } from '../files/make-folder.node.js';

/** One file of a repository as the Hub lists it. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** What its contents must hash to: SHA-256 for files in large file storage, else git's SHA-1 of the blob. Also its name in the cache. */
  readonly hash: string;
  readonly algorithm: 'sha256' | 'git-sha1';
}

/**
 * The part of the Hugging Face cache that belongs to one model or data set, in the layout that all of Hugging Face's tools share:
 * `blobs/HASH`, `refs/REVISION` (a commit), `snapshots/COMMIT/FILE` (links to blobs).
 */
export interface RepoCache {
  readonly path: string;
  blobPath(file: HubFile): string;
  snapshotPath(commit: string): string;
  /** Whether the snapshot has the file complete; links it when only the blob is there. */
  has(commit: string, file: HubFile): Promise<boolean>;
  link(commit: string, file: HubFile): Promise<void>;
  /** The commit that a branch or tag was when it was last looked up. */
  commitOf(revision: string): Promise<string | undefined>;
  remember(revision: string, commit: string): Promise<void>;
}

export const COMMIT = /^[0-9a-f]{40}$/;

export function repoCache(cacheFolder: string, repo: string, kind: 'models' | 'datasets' = 'models'): RepoCache {
  const path = join(cacheFolder, [kind, ...repo.split('/')].join('--'));
  const pointer = (commit: string, file: HubFile) => join(path, 'snapshots', commit, file.path);
  const cache: RepoCache = {
    path,
    blobPath: (file) => join(path, 'blobs', file.hash),
    snapshotPath: (commit) => join(path, 'snapshots', commit),
    async has(commit, file) {
      if ((await sizeOf(pointer(commit, file))) === file.size) return true;
      if ((await sizeOf(cache.blobPath(file))) !== file.size) return false;
      await cache.link(commit, file);
      return true;
    },
    async link(commit, file) {
      const [from, to] = [cache.blobPath(file), pointer(commit, file)];
      try {
        await makeFolder(dirname(to));
        await rm(to, { force: true });
        // Windows lets only some users make links.
        await symlink(relative(dirname(to), from), to).catch(() => copyFile(from, to));
      } catch (cause) {
        throw fileError('Linking', to, cause);
      }
    },
    async commitOf(revision) {
      if (COMMIT.test(revision)) return revision;
      const text = (await readFile(join(path, 'refs', revision), 'utf8').catch(() => '')).trim();
      return COMMIT.test(text) ? text : undefined;
    },
    async remember(revision, commit) {
      if (COMMIT.test(revision)) return;
      const file = join(path, 'refs', revision);
      const fresh = `${file}.${process.pid}.partial`;
      try {
        await makeFolder(dirname(file));
        await writeFile(fresh, commit);
        await rename(fresh, file);
      } catch (cause) {
        throw fileError('Writing', file, cause);
      }
    },
  };
  return cache;
}

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    (stats) => (stats.isFile() ? stats.size : undefined),
    () => undefined,
  );
}
