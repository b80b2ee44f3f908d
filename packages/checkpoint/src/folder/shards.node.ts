import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ByteSource, CalibrantError, type TensorInfo } from '@calibrant/core';
import { fileError } from '../files/file-error.node.js';
import { fileSource } from '../files/file-source.node.js';
import { readSafetensorsHeader, type SafetensorsEntry } from '../safetensors/header.js';
import { INDEX_FILE, parseSafetensorsIndex } from '../safetensors/index-file.js';
import { splitExperts } from './fused-experts.js';

/** The safetensors files of a folder, opened and checked against each other. */
export interface Shards {
  readonly shards: readonly ByteSource[];
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  entryOf(tensor: string): { readonly source: ByteSource; readonly entry: SafetensorsEntry } | undefined;
}

/**
 * Opens `model.safetensors`, or every shard that the index names, and checks that each tensor is where the index says.
 *
 * @param entries the names of the files in the folder
 * @param config config.json, whose model type tells the names of experts
 */
export async function openShards(folder: string, entries: readonly string[], config: Readonly<Record<string, unknown>>): Promise<Shards> {
  const index = entries.includes(INDEX_FILE) ? await readIndex(folder) : undefined;
  const names = index ? [...new Set(index.values())].sort() : ['model.safetensors'];
  const missing = names.filter((name) => !entries.includes(name));
  if (missing.length > 0)
    throw new CalibrantError(
      'NOT_FOUND',
      `${folder}: ${missing.length} of ${names.length} shards that ${INDEX_FILE} names are missing: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}. Download the model again.`,
      { file: join(folder, missing[0]) },
    );
  const shards: ByteSource[] = [];
  const located = new Map<string, { source: ByteSource; entry: SafetensorsEntry; file: string }>();
  try {
    for (const name of names) {
      const source = await fileSource(join(folder, name));
      shards.push(source);
      for (const entry of (await readSafetensorsHeader(source)).tensors.values()) {
        const other = located.get(entry.name);
        if (other) throw inconsistent(folder, entry.name, `is in two shards, ${other.file} and ${name}`);
        located.set(entry.name, { source, entry, file: name });
      }
    }
    if (index) checkIndex(folder, index, located);
  } catch (error) {
    await Promise.all(shards.map((shard) => shard.close()));
    throw error;
  }
  const offered = splitExperts(located, config);
  const tensors = new Map(
    [...offered].map(([name, { entry, file }]): [string, TensorInfo] => [
      name,
      { name, dtype: entry.dtype, shape: entry.shape, bytes: entry.bytes, file },
    ]),
  );
  return { shards, tensors, entryOf: (tensor) => offered.get(tensor) };
}

async function readIndex(folder: string): Promise<Map<string, string>> {
  const file = join(folder, INDEX_FILE);
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw fileError('Reading', file, cause);
  });
  return parseSafetensorsIndex(file, text);
}

function checkIndex(folder: string, index: ReadonlyMap<string, string>, located: ReadonlyMap<string, { file: string }>): void {
  for (const [tensor, shard] of index) {
    const found = located.get(tensor)?.file;
    if (found === undefined) throw inconsistent(folder, tensor, `should be in ${shard} by ${INDEX_FILE}, but no shard holds it`);
    if (found !== shard) throw inconsistent(folder, tensor, `should be in ${shard} by ${INDEX_FILE}, but is in ${found}`);
  }
  for (const [tensor, { file }] of located)
    if (!index.has(tensor)) throw inconsistent(folder, tensor, `is in ${file}, but ${INDEX_FILE} does not name it`);
}

function inconsistent(folder: string, tensor: string, problem: string): CalibrantError {
  return new CalibrantError('CORRUPT_FILE', `${folder}: tensor "${tensor}" ${problem}. Download the model again.`, {
    file: folder,
    tensor,
  });
}
