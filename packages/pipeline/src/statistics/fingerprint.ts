import { createHash } from 'node:crypto';
import type { Checkpoint } from '@calibrant/core';
import { storedParts, type Transformer } from '@calibrant/transformer';

/** Which model statistics are of. */
export interface ModelFingerprint {
  readonly name: string;
  readonly architecture: string;
  /** SHA-256 of config.json without what quantizing or saving it changes. */
  readonly config: string;
  /** SHA-256 of the first rows of the embedding, which quantized models of the usual formats keep as it is. */
  readonly embedding: string;
}

/** Keys of config.json that say nothing of the function. */
const INCIDENTAL = new Set(['quantization_config', 'torch_dtype', 'dtype', 'transformers_version', '_name_or_path', 'use_cache']);
const ROWS = 16;

export async function fingerprint(checkpoint: Checkpoint, { description }: Transformer): Promise<ModelFingerprint> {
  const kept = Object.entries(checkpoint.config).filter(([key]) => !INCIDENTAL.has(key));
  const [table] = storedParts(description.embedding.weight);
  const { data } = await checkpoint.read(table.name, { start: 0, end: Math.min(ROWS, table.shape[0]) });
  return {
    name: checkpoint.name,
    architecture: description.name,
    config: hashOf(JSON.stringify(kept.sort(([a], [b]) => (a < b ? -1 : 1)))),
    embedding: hashOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  };
}

function hashOf(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex');
}
