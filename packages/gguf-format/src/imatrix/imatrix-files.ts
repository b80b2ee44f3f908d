import { type ByteSource, CalibrantError, type ImportanceFiles } from '@calibrant/core';
import { MAGIC } from '../file/gguf-file.js';
import { readDat, writeDat } from './dat.js';
import { readImatrixGguf, writeImatrixGguf } from './gguf.js';

/**
 * llama.cpp's files of importance matrices: GGUF (its usual layout) and the older `.dat`. Both hold f32.
 *
 * @see https://github.com/ggml-org/llama.cpp/tree/master/tools/imatrix
 * @example
 * const matrix = await imatrixFiles.read(await fileSource('imatrix.gguf'));
 */
export const imatrixFiles: ImportanceFiles = {
  layouts: ['gguf', 'dat'],
  async read(source) {
    return (await beginsAsGguf(source)) ? readImatrixGguf(source) : readDat(source);
  },
  async write(matrix, sink, layout) {
    if (layout === 'gguf') return writeImatrixGguf(matrix, sink);
    if (layout === 'dat') return writeDat(matrix, sink);
    throw new CalibrantError('INVALID_ARGUMENT', `An importance matrix is written as gguf or dat, found "${layout}".`, {
      option: '--format',
    });
  },
};

async function beginsAsGguf(source: ByteSource): Promise<boolean> {
  if (source.size < 4) return false;
  const start = await source.read(0, 4);
  return new DataView(start.buffer, start.byteOffset, 4).getUint32(0, true) === MAGIC;
}
