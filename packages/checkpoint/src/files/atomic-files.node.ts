import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CalibrantError, type OutputFolder } from '@calibrant/core';
import { fileError } from './file-error.node.js';
import { makeFolder } from './make-folder.node.js';
import { outputFolder } from './output-folder.node.js';

/** Files that appear in a folder together, complete. */
export interface AtomicFiles extends OutputFolder {
  /** Gives the files their final names. Close every sink first. */
  commit(): Promise<void>;
  /** Removes everything that was written. Does nothing after `commit`. */
  abort(): Promise<void>;
}

/**
 * Starts files in a folder that may hold others: they are written below `.partial-RANDOM` in it, on the same disk, until `commit` renames them.
 *
 * @throws CalibrantError `OUTPUT_EXISTS` (from `create` and `commit`) for a name that is taken, unless `force`; `IO`.
 * @example
 * const files = await createAtomicFiles('out');
 * try {
 *   await files.writeText('notes.txt', 'done');
 *   await files.commit();
 * } finally {
 *   await files.abort();
 * }
 */
export async function createAtomicFiles(folder: string, { force = false }: { readonly force?: boolean } = {}): Promise<AtomicFiles> {
  const target = resolve(folder);
  const stagingPath = join(target, `.partial-${randomBytes(6).toString('hex')}`);
  try {
    await makeFolder(target);
    await mkdir(stagingPath);
  } catch (cause) {
    throw fileError('Creating', stagingPath, cause);
  }
  const staging = outputFolder(stagingPath);
  const names: string[] = [];
  let done = false;
  const refuseTaken = async (name: string) => {
    const path = join(target, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats && !(force && stats.isFile()))
      throw new CalibrantError(
        'OUTPUT_EXISTS',
        `${path} is there already. ${stats.isFile() ? 'Name another file, or add --force to replace it.' : 'Name another file.'}`,
        { file: path },
      );
  };
  const remove = () =>
    rm(stagingPath, { recursive: true, force: true }).catch((cause) => {
      throw fileError('Removing', stagingPath, cause);
    });
  const files: AtomicFiles = {
    async create(name, options) {
      await refuseTaken(name);
      names.push(name);
      return staging.create(name, options);
    },
    async writeText(name, text) {
      await refuseTaken(name);
      names.push(name);
      await staging.writeText(name, text);
    },
    async commit() {
      if (done) throw new CalibrantError('INVALID_ARGUMENT', `The files in ${target} were already committed or aborted.`);
      for (const name of names) await refuseTaken(name);
      for (const name of names)
        await rename(join(stagingPath, name), join(target, name)).catch((cause) => {
          throw fileError('Renaming', `${join(stagingPath, name)} to ${join(target, name)}`, cause);
        });
      done = true;
      await remove();
    },
    async abort() {
      if (done) return;
      done = true;
      await remove();
    },
  };
  return files;
}
