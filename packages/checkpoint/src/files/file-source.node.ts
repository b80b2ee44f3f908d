import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ByteSource, CalibrantError } from '@calibrant/core';
import { fileError } from './file-error.node.js';

/** One read call may not exceed 2 GiB. */
const MAX_READ = 2 ** 30;

/**
 * Opens a file for reading at any position. The file stays open (and so keeps its contents even when it is replaced) until `close`.
 *
 * @throws CalibrantError `NOT_FOUND` or `IO`.
 * @example
 * const source = await fileSource('model.safetensors');
 * const first = await source.read(0, 8);
 * await source.close();
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const handle = await open(path, 'r').catch((cause) => {
    throw fileError('Opening', path, cause);
  });
  let size: number;
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new CalibrantError('NOT_FOUND', `${path} is not a file.`, { file: path });
    size = stats.size;
  } catch (cause) {
    await handle.close();
    throw fileError('Opening', path, cause);
  }
  return {
    name: path,
    size,
    async read(offset, length) {
      if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= size))
        throw new CalibrantError('CORRUPT_FILE', `${path} has ${size} bytes; bytes ${offset} to ${offset + length} were asked for.`, {
          file: path,
          offset,
        });
      const bytes = allocate(path, length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, Math.min(length - done, MAX_READ), offset + done).catch((cause) => {
          throw fileError('Reading', path, cause, { offset: offset + done });
        });
        if (bytesRead === 0)
          throw new CalibrantError(
            'CORRUPT_FILE',
            `${path} became shorter while it was read: it ends at byte ${offset + done}, not ${size}.`,
            {
              file: path,
              offset: offset + done,
            },
          );
        done += bytesRead;
      }
      return bytes;
    },
    sibling: (name) => fileSource(join(dirname(path), name)),
    close: () => handle.close(),
  };
}

function allocate(path: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new CalibrantError('OUT_OF_MEMORY', `${path}: no memory for ${length} bytes. Read fewer rows at a time.`, { file: path, cause });
  }
}
