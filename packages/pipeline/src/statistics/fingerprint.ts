import { createHash } from 'node:crypto';
import { type Checkpoint, toF32 } from '@calibrant/core';
import { storedParts, type Transformer, weightsOf } from '@calibrant/transformer';

/** Which model statistics are of. */
export interface ModelFingerprint {
  readonly name: string;
  readonly architecture: string;
  /** SHA-256 of config.json without what quantizing or saving it changes. */
  readonly config: string;
  /** SHA-256 of the first rows of the embedding, which quantized models of the usual formats keep as it is. */
  readonly embedding: string;
  /** SHA-256 of the vectors of all blocks (norms and biases) as f32: folded scales change them. */
  readonly norms: string;
  /** SHA-256 of the first row of every matrix of the blocks as f32: fine-tuning and quantizing change them. */
  readonly linears: string;
}

/** Keys of config.json that say nothing of the function. */
const INCIDENTAL = new Set(['quantization_config', 'torch_dtype', 'dtype', 'transformers_version', '_name_or_path', 'use_cache']);
const ROWS = 16;

export async function fingerprint(checkpoint: Checkpoint, { description }: Transformer): Promise<ModelFingerprint> {
  const kept = Object.entries(checkpoint.config).filter(([key]) => !INCIDENTAL.has(key));
  const [table] = storedParts(description.embedding.weight);
  const { data } = await checkpoint.read(table.name, { start: 0, end: Math.min(ROWS, table.shape[0]) });
  const [norms, linears] = [createHash('sha256'), createHash('sha256')];
  for (const { name, shape } of description.blocks.flatMap(weightsOf).flatMap(storedParts)) {
    const whole = shape.length === 1;
    const values = toF32(await checkpoint.read(name, whole ? undefined : { start: 0, end: 1 }));
    (whole ? norms : linears).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return {
    name: checkpoint.name,
    architecture: description.name,
    config: hashOf(JSON.stringify(kept.sort(([a], [b]) => (a < b ? -1 : 1)))),
    embedding: hashOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    norms: norms.digest('hex'),
    linears: linears.digest('hex'),
  };
}

function hashOf(value: string | Uint8Array): string {
  return createHash('sha256').update(value).digest('hex');
}
