import { dirname, join } from 'node:path';
import { CalibrantError, type OutputFolder } from '@calibrant/core';
import { fileError } from './file-error.node.js';
import { fileSink } from './file-sink.node.js';
import { makeFolder } from './make-folder.node.js';

/** Writes files into a folder, which is made when it does not exist. Names may hold `/` but must not lead out of the folder. */
export function outputFolder(path: string): OutputFolder {
  const folder: OutputFolder = {
    async create(name, options) {
      const file = join(path, checkedName(name));
      await makeFolder(dirname(file)).catch((cause) => {
        throw fileError('Creating', dirname(file), cause);
      });
      return fileSink(file, options);
    },
    async writeText(name, text) {
      const bytes = new TextEncoder().encode(text);
      const sink = await folder.create(name, { bytes: bytes.byteLength });
      try {
        await sink.write(0, bytes);
      } finally {
        await sink.close();
      }
    },
  };
  return folder;
}

function checkedName(name: string): string {
  const parts = name.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..' || /[\\:\0]/.test(part)))
    throw new CalibrantError('INVALID_ARGUMENT', `"${name}" is not the name of a file inside an output folder.`, { file: name });
  return name;
}
