import { byteLength, type OutputFolder } from '@calibrant/core';
import { createSafetensorsFile, fileBytes, type SafetensorsFile } from './safetensors-file.js';
import { json } from './side-files.js';
import type { StoredPart, StoredTensor } from './stored-parts.js';

/** The files that hold a model's tensors. */
export interface Shards {
  /** The file of a stored tensor. */
  fileOf(tensor: StoredTensor): SafetensorsFile;
  /** Finishes the files and writes the index when there are several. Returns their names. */
  finish(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Opens `model.safetensors`, or `model-00001-of-0000N.safetensors` … when the tensors exceed `maxBytes`; a layer's parts stay together. */
export async function openShards(folder: OutputFolder, tensors: readonly StoredTensor[], maxBytes: number): Promise<Shards> {
  const groups = splitBySize(tensors, maxBytes);
  const files: { readonly name: string; readonly file: SafetensorsFile }[] = [];
  const home = new Map<StoredTensor, SafetensorsFile>();
  const close = async () => {
    await Promise.all(files.map(({ file }) => file.close()));
  };
  try {
    for (const [i, group] of groups.entries()) {
      const name = shardName(i, groups.length);
      const parts = group.flatMap((tensor) => tensor.parts);
      const possible = group.flatMap(({ groupIndex }) => (groupIndex ? [groupIndex] : []));
      const file = createSafetensorsFile(await folder.create(name, { bytes: fileBytes(parts, possible) }), parts, possible);
      files.push({ name, file });
      for (const tensor of group) home.set(tensor, file);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    fileOf: (tensor) => home.get(tensor) as SafetensorsFile,
    async finish() {
      const weightMap: Record<string, string> = {};
      let total = 0;
      for (const { name, file } of files)
        for (const part of await file.finish()) {
          weightMap[part.name] = name;
          total += byteLength(part);
        }
      if (files.length > 1)
        await folder.writeText('model.safetensors.index.json', json({ metadata: { total_size: total }, weight_map: weightMap }));
      return files.map(({ name }) => name);
    },
    close,
  };
}

function splitBySize(tensors: readonly StoredTensor[], maxBytes: number): StoredTensor[][] {
  const groups: StoredTensor[][] = [[]];
  let held = 0;
  for (const tensor of tensors) {
    const bytes = tensor.parts.reduce((sum, part: StoredPart) => sum + byteLength(part), 0);
    if (held > 0 && held + bytes > maxBytes) {
      groups.push([]);
      held = 0;
    }
    groups[groups.length - 1].push(tensor);
    held += bytes;
  }
  return groups;
}

function shardName(index: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, '0');
  return count === 1 ? 'model.safetensors' : `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}
