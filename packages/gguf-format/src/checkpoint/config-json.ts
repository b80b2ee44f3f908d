import { CalibrantError } from '@calibrant/core';
import type { MetadataReader } from '../file/metadata.js';
import type { GgufArchitecture } from '../models/architectures.js';
import type { RopeScaling } from '../models/model-config.js';

/** What config.json needs beside the metadata. */
export interface ConfigFacts {
  readonly file: string;
  /** Tensors in the file: no model has more layers. */
  readonly tensors: number;
  readonly architecture: GgufArchitecture;
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** Rows of the embedding. */
  readonly vocabSize: number;
  /** From `rope_freqs.weight`, where that is there. */
  readonly llama3: ((config: { headDim: number; ropeTheta: number }, originalContext: number) => RopeScaling) | undefined;
}

/** No model comes near this; sizes of arrays follow from numbers in the file. */
const WIDEST = 2 ** 24;

/**
 * config.json as far as a forward pass needs it, reconstructed from `<architecture>.*`.
 *
 * @throws CalibrantError `CORRUPT_FILE` for sizes that are missing or impossible.
 */
export function configJson(metadata: MetadataReader, facts: ConfigFacts): Record<string, unknown> {
  const { architecture } = facts;
  const key = (name: string) => `${architecture.name}.${name}`;
  const size = (name: string, most: number, found = metadata.requireNumber(key(name))) => {
    if (Number.isInteger(found) && found >= 1 && found <= most) return found;
    throw new CalibrantError('CORRUPT_FILE', `${facts.file}: "${key(name)}" must be a whole number from 1 to ${most}, found ${found}.`, {
      file: facts.file,
    });
  };
  const hiddenSize = size('embedding_length', WIDEST);
  const heads = size('attention.head_count', WIDEST);
  const given = metadata.number(key('attention.key_length')) ?? metadata.number(key('rope.dimension_count'));
  const headDim = size('attention.key_length', WIDEST, given ?? hiddenSize / heads);
  const layers = size('block_count', facts.tensors);
  const ropeTheta = shortest(metadata.number(key('rope.freq_base')) ?? 10000);
  const slidingWindow = metadata.number(key('attention.sliding_window'));
  // Of the model types with one file architecture, only Mistral has a window.
  const variant = slidingWindow !== undefined && architecture.name === 'llama' ? 1 : 0;
  return {
    architectures: [architecture.classes[variant]],
    model_type: architecture.modelTypes[variant],
    hidden_act: 'silu',
    hidden_size: hiddenSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: metadata.number(key('attention.head_count_kv')) ?? heads,
    head_dim: headDim,
    intermediate_size: metadata.requireNumber(key('feed_forward_length')),
    max_position_embeddings: metadata.requireNumber(key('context_length')),
    rms_norm_eps: shortest(metadata.requireNumber(key('attention.layer_norm_rms_epsilon'))),
    rope_theta: ropeTheta,
    rope_scaling: ropeScaling(metadata, key, facts, { headDim, ropeTheta }),
    vocab_size: facts.vocabSize,
    tie_word_embeddings: facts.tied,
    attention_bias: facts.attentionBias,
    mlp_bias: facts.mlpBias,
    ...(slidingWindow === undefined ? {} : { sliding_window: slidingWindow }),
    ...(architecture.name === 'smollm3' ? { no_rope_layers: Array.from({ length: layers }, (_, i) => ((i + 1) % 4 === 0 ? 0 : 1)) } : {}),
    ...tokenIds(metadata),
    torch_dtype: 'float32',
  };
}

function ropeScaling(
  metadata: MetadataReader,
  key: (name: string) => string,
  { llama3 }: ConfigFacts,
  config: { headDim: number; ropeTheta: number },
): Record<string, unknown> | null {
  const originalContext = metadata.number(key('rope.scaling.original_context_length'));
  if (llama3) {
    const found = llama3(config, originalContext ?? 8192);
    return {
      rope_type: 'llama3',
      factor: found.factor,
      low_freq_factor: found.lowFreqFactor,
      high_freq_factor: found.highFreqFactor,
      original_max_position_embeddings: found.originalContext,
    };
  }
  const type = metadata.string(key('rope.scaling.type'));
  if (type === undefined || type === 'none') return null;
  return {
    rope_type: type,
    factor: shortest(metadata.requireNumber(key('rope.scaling.factor'))),
    ...(originalContext === undefined ? {} : { original_max_position_embeddings: originalContext }),
  };
}

function tokenIds(metadata: MetadataReader): Record<string, number> {
  const ids: Record<string, number> = {};
  for (const [name, key] of [
    ['bos_token_id', 'bos_token_id'],
    ['eos_token_id', 'eos_token_id'],
    ['pad_token_id', 'padding_token_id'],
  ]) {
    const id = metadata.number(`tokenizer.ggml.${key}`);
    if (id !== undefined) ids[name] = id;
  }
  return ids;
}

/** The shortest decimal that is this f32: 1e-5 and not 0.000009999999747378752. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === Math.fround(value)) return rounded;
  }
  return value;
}
