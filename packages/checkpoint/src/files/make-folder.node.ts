import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a folder and the folders above it. (Node's own recursive `mkdir` never returns where the system answers ENOENT below an existing
 * folder, as in /proc.)
 *
 * @returns the outermost folder that was made, or undefined when the folder was there
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  try {
    await mkdir(path);
    return path;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return undefined;
    if (code !== 'ENOENT' || dirname(path) === path) throw cause;
  }
  const outermost = await makeFolder(dirname(path));
  await mkdir(path).catch((cause) => {
    // Somebody else may have made it in the meantime.
    if (cause.code !== 'EEXIST') throw cause;
  });
  return outermost ?? path;
}
