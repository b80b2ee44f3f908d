import { access, constants, stat } from 'node:fs/promises';
import path from 'node:path';
import { createAtomicFiles } from '@calibrant/checkpoint';
import { CalibrantError } from '@calibrant/core';

/**
 * Before long work: whether a folder is there, or can be made, to write files to.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a path through a file, `IO` where permission is missing
 */
export async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  const parent = path.dirname(path.resolve(folder));
  if (!found && parent !== path.resolve(folder)) return checkFolder(parent);
  if (!found?.isDirectory())
    throw new CalibrantError('INVALID_ARGUMENT', `${folder} is a file, but files are to be written into it. Give a folder with --out.`, {
      option: '--out',
    });
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw new CalibrantError('IO', `Nothing can be written to ${folder}: permission is missing. Give another folder with --out.`, {
      option: '--out',
      cause,
    });
  });
}

/** Writes texts to files of a folder, which is made if need be: all of them together, in the place of older ones. */
export async function writeFiles(folder: string, texts: Readonly<Record<string, string>>): Promise<void> {
  const files = await createAtomicFiles(folder, { force: true });
  try {
    for (const [name, text] of Object.entries(texts)) await files.writeText(name, text);
    await files.commit();
  } finally {
    await files.abort();
  }
}
