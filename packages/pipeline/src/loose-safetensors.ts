import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { MAX_HEADER_BYTES, readSafetensorsHeader } from '@calibrant/checkpoint';
import type { ByteSource, RunOptions, TensorInfo } from '@calibrant/core';
import { openSingleFile, referenceKind } from './open-model.js';

/** Tensors without a model around them: no config, no tokenizer. */
export interface LooseTensors {
  readonly name: string;
  readonly tensors: readonly TensorInfo[];
}

/**
 * The tensors of a safetensors file, recognized by its content, or of those in a folder without `config.json`. Undefined for anything else, which
 * is a model or nothing.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a damaged or empty file.
 */
export async function readLooseSafetensors(reference: string, { signal }: RunOptions): Promise<LooseTensors | undefined> {
  const kind = await referenceKind(reference);
  const files = kind === 'file' ? [reference] : kind === 'folder' ? await looseFiles(reference) : [];
  const tensors: TensorInfo[] = [];
  for (const file of files) {
    const source = await openSingleFile(file, signal);
    try {
      if (!file.endsWith('.safetensors') && !(await looksLikeSafetensors(source))) return undefined;
      for (const { name, dtype, shape, bytes } of (await readSafetensorsHeader(source)).tensors.values())
        tensors.push({ name, dtype, shape, bytes, file: path.basename(file) });
    } finally {
      await source.close();
    }
  }
  return files.length === 0 ? undefined : { name: reference, tensors };
}

async function looseFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).sort();
  return names.includes('config.json') ? [] : names.filter((name) => name.endsWith('.safetensors')).map((name) => path.join(folder, name));
}

/** Eight bytes with the length of a header that fits into the file, then the header's brace. */
async function looksLikeSafetensors(source: ByteSource): Promise<boolean> {
  if (source.size < 10) return false;
  const start = await source.read(0, 9);
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  return start[8] === '{'.charCodeAt(0) && length <= BigInt(Math.min(MAX_HEADER_BYTES, source.size - 8));
}
