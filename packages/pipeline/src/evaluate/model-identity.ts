import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Checkpoint } from '@calibrant/core';
import type { ModelIdentity } from '@calibrant/eval';
import { referenceKind } from '../open-model.js';

/** Side files that change what a model says; a GGUF file needs none. */
const SIDE_FILES = ['config.json', 'tokenizer.json'];

/** Hashes the files that a model was read from. A Hub model is its commit, a remote file its address. */
export async function identifyModel(reference: string, checkpoint: Checkpoint): Promise<ModelIdentity> {
  const weights = [...new Set([...checkpoint.tensors.values()].map(({ file }) => path.basename(file)))].sort();
  const folder = await localFolder(reference);
  if (folder === undefined) {
    const commit = /@([0-9a-f]{40})$/.exec(checkpoint.name)?.[1];
    const files = weights.map((name) => ({ name, bytes: 0 }));
    return commit ? { name: checkpoint.name, files, commit, sha256: hashOf(checkpoint.name) } : { name: reference, files };
  }
  const files: { name: string; bytes: number; sha256: string }[] = [];
  for (const name of [...weights, ...(/\.gguf$/i.test(weights[0] ?? '') ? [] : SIDE_FILES)]) {
    const file = path.join(folder, name);
    const stats = await stat(file).catch(() => undefined);
    if (stats?.isFile()) files.push({ name, bytes: stats.size, sha256: await hashFile(file) });
  }
  // Names are left out: a copy under another name says the same.
  return { name: reference, files, sha256: hashOf(files.map(({ bytes, sha256 }) => `${bytes} ${sha256}`).join('\n')) };
}

async function localFolder(reference: string): Promise<string | undefined> {
  const kind = await referenceKind(reference);
  if (kind === 'folder') return reference;
  return kind === 'file' && !/^https?:/i.test(reference) ? path.dirname(reference) : undefined;
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk);
  return hash.digest('hex');
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
