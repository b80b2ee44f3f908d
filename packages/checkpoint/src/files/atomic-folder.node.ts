import { randomBytes } from 'node:crypto';
import { mkdir, readdir, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { CalibrantError, type OutputFolder } from '@calibrant/core';
import { fileError } from './file-error.node.js';
import { makeFolder } from './make-folder.node.js';
import { outputFolder } from './output-folder.node.js';

/** A folder that appears under its name only when everything in it is complete. */
export interface AtomicFolder extends OutputFolder {
  /** The final path. */
  readonly path: string;
  /** Where the files are until `commit`. */
  readonly stagingPath: string;
  /** Gives the folder its final name. Close every sink first. */
  commit(): Promise<void>;
  /** Removes everything that was written. Does nothing after `commit`. */
  abort(): Promise<void>;
}

export interface AtomicFolderOptions {
  /** Replace a folder that is not empty. */
  readonly force?: boolean;
  /** `force` replaces only a folder that holds a file of this name: one that the same program wrote. */
  readonly marker?: string;
  /** Files and folders that must survive: a target that is or holds one of them is refused, even with `force`. */
  readonly protect?: readonly string[];
}

/**
 * Starts an output folder: files go to `.NAME.partial-RANDOM` beside it until `commit` renames that. With `force` an existing
 * folder is kept until the new one is complete, moved aside, and removed last.
 *
 * @throws CalibrantError `OUTPUT_EXISTS` for a folder that is not empty without `force`, for a file, and (even with `force`) for the home
 * folder or one that holds the working folder; `IO` where the folder cannot be written.
 * @example
 * const folder = await createAtomicFolder('out/my-model-gguf');
 * try {
 *   await folder.writeText('config.json', '{}');
 *   await folder.commit();
 * } finally {
 *   await folder.abort();
 * }
 */
export async function createAtomicFolder(path: string, options: AtomicFolderOptions = {}): Promise<AtomicFolder> {
  const target = resolve(path);
  await checkTarget(target, options);
  const sibling = (kind: string) => join(dirname(target), `.${basename(target)}.${kind}-${randomBytes(6).toString('hex')}`);
  const stagingPath = sibling('partial');
  let firstMade: string | undefined;
  try {
    firstMade = await makeFolder(dirname(target));
    await mkdir(stagingPath);
  } catch (cause) {
    await removeEmpty(dirname(target), firstMade);
    throw fileError('Creating', stagingPath, cause);
  }
  let state: 'open' | 'done' = 'open';

  return {
    ...outputFolder(stagingPath),
    path: target,
    stagingPath,
    async commit() {
      if (state === 'done') throw new CalibrantError('INVALID_ARGUMENT', `${target} was already committed or aborted.`);
      // Again: somebody else may have written there meanwhile.
      const existing = await checkTarget(target, options);
      try {
        if (existing === 'full') await replace(stagingPath, target, sibling('old'));
        else {
          if (existing === 'empty') await rmdir(target);
          await rename(stagingPath, target);
        }
      } catch (cause) {
        throw fileError('Renaming', `${stagingPath} to ${target}`, cause);
      }
      state = 'done';
    },
    async abort() {
      if (state === 'done') return;
      state = 'done';
      await rm(stagingPath, { recursive: true, force: true }).catch((cause) => {
        throw fileError('Removing', stagingPath, cause);
      });
      await removeEmpty(dirname(target), firstMade);
    },
  };
}

/** Removes the folders from `inner` up to `outer`, which were made for the output, while they are empty. */
async function removeEmpty(inner: string, outer: string | undefined): Promise<void> {
  if (outer === undefined) return;
  for (let folder = inner; holds(outer, folder); folder = dirname(folder)) {
    const removed = await rmdir(folder).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

async function replace(staging: string, target: string, aside: string): Promise<void> {
  await rename(target, aside);
  try {
    await rename(staging, target);
  } catch (cause) {
    await rename(aside, target);
    throw cause;
  }
  await rm(aside, { recursive: true, force: true });
}

async function checkTarget(target: string, { force, marker, protect = [] }: AtomicFolderOptions): Promise<'absent' | 'empty' | 'full'> {
  const refuse = (why: string) => new CalibrantError('OUTPUT_EXISTS', `The output folder ${target} ${why}`, { file: target });
  const stats = await stat(target).catch((cause) => {
    if (cause.code === 'ENOENT') return undefined;
    throw fileError('Looking at', target, cause);
  });
  if (!stats) return 'absent';
  if (!stats.isDirectory()) throw refuse('is a file. Name another folder.');
  const entries = await readdir(target).catch((cause) => {
    throw fileError('Listing', target, cause);
  });
  if (entries.length === 0) return 'empty';
  if (!force) throw refuse(`is not empty (it holds ${entries.length} entries). Name another folder, or add --force to replace it.`);
  if (holds(target, process.cwd()) || holds(target, homedir()))
    throw refuse('holds the working folder or your home folder and is not replaced, even with --force. Name another folder.');
  const inside = await firstInside(target, protect);
  if (inside !== undefined)
    throw refuse(`is or holds ${inside}, which the output is made from. It is not replaced, even with --force. Name another folder.`);
  if (marker !== undefined && !entries.includes(marker))
    throw refuse(
      `was not written by this program: it holds ${entries.slice(0, 3).join(', ')}${entries.length > 3 ? ', …' : ''} and no ${marker}. It is not replaced, even with --force. Name another folder, or remove it yourself.`,
    );
  return 'full';
}

/** The first of some paths that is the target or lies in it, links followed. */
async function firstInside(target: string, paths: readonly string[]): Promise<string | undefined> {
  const real = (path: string) => realpath(path).catch(() => resolve(path));
  const outer = await real(target);
  for (const path of paths) if (holds(outer, await real(path))) return path;
  return undefined;
}

/** Whether `inner` is `outer` or lies in it. */
function holds(outer: string, inner: string): boolean {
  const way = relative(outer, inner);
  return !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way));
}
