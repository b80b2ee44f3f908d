import type { ByteSource, FileContents } from '@calibrant/core';
import type { GgufMetadata } from '../file/metadata.js';
import { readGgufModel } from '../file/read-model.js';
import { isGguf, tensorInfo } from './open-gguf-checkpoint.js';

/** Hugging Face's names of sizes, by the end of GGUF's keys. */
const SIZES: readonly (readonly [string, string])[] = [
  ['num_hidden_layers', 'block_count'],
  ['hidden_size', 'embedding_length'],
  ['intermediate_size', 'feed_forward_length'],
  ['num_attention_heads', 'attention.head_count'],
  ['num_key_value_heads', 'attention.head_count_kv'],
  ['head_dim', 'attention.key_length'],
  ['vocab_size', 'vocab_size'],
  ['max_position_embeddings', 'context_length'],
];

/**
 * What the headers of any GGUF file say: other architectures than those that are read as checkpoints, projectors, adapters, importance matrices.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a damaged file.
 */
export async function inspectGgufFile(source: ByteSource): Promise<FileContents | undefined> {
  if (!(await isGguf(source))) return undefined;
  const model = await readGgufModel(source);
  try {
    const kind = text(model.metadata, 'general.architecture');
    const sizes = SIZES.map(([name, key]) => [name, model.metadata.get(`${kind}.${key}`)?.value]);
    return {
      config: {
        ...Object.fromEntries(sizes.filter(([, found]) => typeof found === 'number')),
        model_type: kind ?? text(model.metadata, 'general.type'),
      },
      tensors: [...model.tensors.values()].map((tensor) => tensorInfo(tensor.name, tensor.shape, tensor)),
    };
  } finally {
    await Promise.all(model.parts.filter((part) => part.source !== source).map((part) => part.source.close()));
  }
}

function text(metadata: GgufMetadata, key: string): string | undefined {
  const found = metadata.get(key)?.value;
  return typeof found === 'string' && found !== '' ? found : undefined;
}
