import { open, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type ByteSink, CalibrantError } from '@calibrant/core';
import { fileError } from './file-error.node.js';
import { writeAll } from './write-all.node.js';

export interface FileSinkOptions {
  /** The final size, if known: a disk without room for it is refused before anything is written. */
  readonly bytes?: number;
}

/**
 * Creates a file (or empties it) for writing at any position. `close` waits until the data is on the disk.
 *
 * @throws CalibrantError `DISK_FULL` with the bytes needed and free, else `IO`.
 */
export async function fileSink(path: string, { bytes: total }: FileSinkOptions = {}): Promise<ByteSink> {
  if (total !== undefined) await requireSpace(path, total);
  const handle = await open(path, 'w').catch((cause) => {
    throw fileError('Creating', path, cause);
  });
  let closed = false;
  return {
    name: path,
    async write(offset, bytes) {
      await writeAll(handle, bytes, offset).catch(async (cause) => {
        throw await writeError(path, cause, offset, Math.max(total ?? 0, offset + bytes.byteLength));
      });
    },
    async close() {
      if (closed) return;
      closed = true;
      try {
        await handle.sync();
      } catch (cause) {
        // Devices and pipes cannot be synced and say EINVAL.
        if ((cause as NodeJS.ErrnoException).code !== 'EINVAL') throw await writeError(path, cause, 0, total ?? 0);
      } finally {
        await handle.close();
      }
    },
  };
}

/** Free bytes of the disk that holds a path, or undefined where the system does not say. */
export async function freeBytes(path: string): Promise<number | undefined> {
  const stats = await statfs(path).catch(() => undefined);
  return stats && stats.blocks > 0 ? stats.bavail * stats.bsize : undefined;
}

async function requireSpace(path: string, needed: number): Promise<void> {
  const free = await freeBytes(dirname(path));
  if (free !== undefined && free < needed)
    throw new CalibrantError(
      'DISK_FULL',
      `${path} needs ${needed} bytes, and the disk has ${free} free. Free some space or write to another disk.`,
      { file: path, neededBytes: needed, freeBytes: free },
    );
}

async function writeError(path: string, cause: unknown, offset: number, needed: number): Promise<unknown> {
  const error = fileError('Writing', path, cause, { offset });
  if (!CalibrantError.isInstance(error) || error.code !== 'DISK_FULL') return error;
  const free = await freeBytes(dirname(path));
  return new CalibrantError(
    'DISK_FULL',
    `The disk is full: ${path} needs at least ${needed} bytes and could be written up to byte ${offset}${free === undefined ? '' : ` (${free} bytes are free now)`}. Free some space or write to another disk.`,
    { file: path, offset, neededBytes: needed, freeBytes: free, cause },
  );
}
