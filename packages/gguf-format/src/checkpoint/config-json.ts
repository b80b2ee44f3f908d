import { CalibrantError } from '@calibrant/core';
import type { MetadataReader } from '../file/metadata.js';
import type { FileFacts, GgufArchitecture, SizeName } from '../models/architecture.js';
import { readModelConfig } from '../models/model-config.js';
import { LONG_FACTORS, llama3ScalingOf, ROPE_FACTORS, SHORT_FACTORS } from '../models/rope-factors.js';
import { type RopeScaling, temperature } from '../models/rope-scaling.js';

/** What config.json needs beside the metadata. */
export interface ConfigFacts {
  readonly file: string;
  readonly architecture: GgufArchitecture;
  /** Names of the tensors in the file: no model has more layers. */
  readonly tensors: ReadonlySet<string>;
  /** Rows of the embedding. */
  readonly vocabSize: number;
  /** The tensors of rope factors, by name. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

/** No model comes near this; sizes of arrays follow from numbers in the file. */
const WIDEST = 2 ** 24;
const WIDEST_HEAD = 2 ** 14;

/**
 * config.json as far as a forward pass needs it, reconstructed from `<architecture>.*`.
 *
 * @throws CalibrantError `CORRUPT_FILE` for sizes that are missing or impossible.
 */
export function configJson(metadata: MetadataReader, facts: ConfigFacts): Record<string, unknown> {
  const { architecture, tensors } = facts;
  const key = (name: string) => `${architecture.name}.${name}`;
  const size = (name: string, most: number, found = metadata.requireNumber(key(name))) => {
    if (Number.isInteger(found) && found >= 1 && found <= most) return found;
    throw new CalibrantError('CORRUPT_FILE', `${facts.file}: "${key(name)}" must be a whole number from 1 to ${most}, found ${found}.`, {
      file: facts.file,
    });
  };
  const hiddenSize = size('embedding_length', WIDEST);
  const heads = size('attention.head_count', WIDEST);
  const headDim = size('attention.key_length', WIDEST_HEAD, metadata.number(key('attention.key_length')) ?? hiddenSize / heads);
  const layers = size('block_count', tensors.size);
  const has = (tensor: string) => tensors.has(tensor);
  const file: FileFacts = { has, number: (name) => metadata.number(key(name)) };
  const variant = architecture.variant?.(file) ?? 0;
  const sizes: Record<SizeName, number> = {
    hidden_size: hiddenSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: size('attention.head_count_kv', heads, metadata.number(key('attention.head_count_kv')) ?? heads),
    head_dim: headDim,
    intermediate_size: metadata.requireNumber(key('feed_forward_length')),
    max_position_embeddings: metadata.requireNumber(key('context_length')),
    vocab_size: facts.vocabSize,
  };
  const spelled = Object.entries(sizes).map(([name, found]) => [architecture.spelling?.[name as SizeName]?.[0] ?? name, found]);
  const slidingWindow = metadata.number(key('attention.sliding_window'));
  const config: Record<string, unknown> = {
    architectures: [architecture.classes[variant]],
    model_type: architecture.modelTypes[variant],
    ...architecture.fixed,
    ...Object.fromEntries(spelled),
    [architecture.epsilon.config]: shortest(metadata.requireNumber(key(`attention.${architecture.epsilon.key}`))),
    tie_word_embeddings: architecture.head === 'embedding' || !has('output.weight'),
    attention_bias: has('blk.0.attn_q.bias') || has('blk.0.attn_qkv.bias'),
    mlp_bias: has('blk.0.ffn_gate.bias'),
    // Zero stands for none.
    ...(slidingWindow ? { sliding_window: slidingWindow } : {}),
    ...(architecture.rope ? rope(metadata, key, facts, headDim) : {}),
    ...valuesAndFlags(metadata, key, facts),
    ...tokenIds(metadata),
    torch_dtype: 'float32',
  };
  return { ...config, ...architecture.restore?.(readModelConfig(config, architecture, facts.file), file) };
}

/** The values and flags that only some architectures have. */
function valuesAndFlags(metadata: MetadataReader, key: (name: string) => string, { architecture, tensors }: ConfigFacts) {
  const config: Record<string, unknown> = {};
  for (const [name, field, type] of architecture.values ?? []) {
    const found = type === 'bool' ? metadata.boolean(key(name)) : metadata.number(key(name));
    if (found !== undefined) config[field] = typeof found === 'number' ? shortest(found) : found;
  }
  for (const [field, tensor] of architecture.flags ?? []) config[field] = tensors.has(tensor);
  return config;
}

/** Base, rotated part of a head and scaling, under the names of the older spelling. */
function rope(metadata: MetadataReader, key: (name: string) => string, facts: ConfigFacts, headDim: number): Record<string, unknown> {
  const { architecture, factors } = facts;
  const defaults = architecture.rope ?? { theta: 10000 };
  const theta = shortest(metadata.number(key('rope.freq_base')) ?? 10000);
  const dims = metadata.number(key('rope.dimension_count')) ?? headDim;
  const part = dims / headDim;
  const originalContext = metadata.number(key('rope.scaling.original_context_length'));
  return {
    [defaults.thetaName ?? 'rope_theta']: theta,
    ...(part === 1 && defaults.part === undefined ? {} : { [defaults.partName ?? 'partial_rotary_factor']: part }),
    ...(factors.has(LONG_FACTORS) && originalContext !== undefined ? { original_max_position_embeddings: originalContext } : {}),
    rope_scaling: ropeScaling(metadata, key, facts, { ropeDims: dims, ropeTheta: theta }, originalContext),
  };
}

function ropeScaling(
  metadata: MetadataReader,
  key: (name: string) => string,
  { factors }: ConfigFacts,
  rotation: { ropeDims: number; ropeTheta: number },
  originalContext: number | undefined,
): Record<string, unknown> | null {
  const llama3 = factors.get(ROPE_FACTORS);
  if (llama3) {
    const found = llama3ScalingOf(llama3, rotation, originalContext ?? 8192);
    return found ? llama3Config(found) : dividedBy(llama3, metadata.requireNumber(key('context_length')));
  }
  const [short, long] = [factors.get(SHORT_FACTORS), factors.get(LONG_FACTORS)];
  if (short && long) {
    const attention = metadata.number(key('rope.scaling.attn_factor'));
    return {
      rope_type: 'longrope',
      short_factor: Array.from(short, shortest),
      long_factor: Array.from(long, shortest),
      ...(originalContext === undefined ? {} : { original_max_position_embeddings: originalContext }),
      ...(attention === undefined ? {} : { attention_factor: attention }),
    };
  }
  const type = metadata.string(key('rope.scaling.type'));
  if (type === undefined || type === 'none') return null;
  const factor = shortest(metadata.requireNumber(key('rope.scaling.factor')));
  const attention = type === 'yarn' ? metadata.number(key('rope.scaling.attn_factor')) : undefined;
  return {
    rope_type: type,
    factor,
    ...(originalContext === undefined ? {} : { original_max_position_embeddings: originalContext }),
    ...(attention === undefined ? {} : { attention_factor: shortest(attention * temperature(factor)) }),
  };
}

function llama3Config({ factor, lowFreqFactor, highFreqFactor, originalContext }: RopeScaling): Record<string, unknown> {
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: lowFreqFactor,
    high_freq_factor: highFreqFactor,
    original_max_position_embeddings: originalContext,
  };
}

/** Frequencies divided by any factors, at all lengths alike: LongRoPE whose lists are one, and which nothing is too long for. */
function dividedBy(factors: Float32Array, contextLength: number): Record<string, unknown> {
  const list = Array.from(factors, shortest);
  return {
    rope_type: 'longrope',
    short_factor: list,
    long_factor: list,
    attention_factor: 1,
    original_max_position_embeddings: contextLength,
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
