import type { ScalarType } from '../file/metadata.js';
import type { Json, ModelConfig } from './model-config.js';

/**
 * How a tensor of the file differs from the checkpoint's:
 * `pairs`: the halves of each head are interleaved, because llama.cpp rotates neighbouring pairs where the checkpoint rotates halves;
 * `fused`: all queries, then all keys, then all values, where the checkpoint holds those of each group of heads side by side;
 * `transposed`: `[out, in]`, where the checkpoint holds `[in, out]`;
 * `plus one`: a norm that multiplies by 1 + weight;
 * `flat`: a vector, where the checkpoint holds a matrix of one row.
 */
export type Arrangement = 'pairs' | 'fused' | 'transposed' | 'plus one' | 'flat';

/** Names in the file and in the checkpoint, less `.weight` or `.bias`; `#` in the latter is the index of what is stacked. */
export type TensorRule = readonly [gguf: string, source: string, as?: Arrangement];

/** Sizes under the names that most of config.json's writers use. */
export type SizeName =
  | 'hidden_size'
  | 'num_hidden_layers'
  | 'num_attention_heads'
  | 'num_key_value_heads'
  | 'head_dim'
  | 'intermediate_size'
  | 'max_position_embeddings'
  | 'vocab_size';

/** A value of config.json that llama.cpp takes for granted. */
export interface Limit {
  readonly field: string;
  /** `undefined` and `null` stand for a field that is absent. */
  readonly allowed: readonly unknown[];
  readonly because: string;
}

/** Activations in llama.cpp are part of the architecture. */
export const SILU: Limit = { field: 'hidden_act', allowed: [undefined, 'silu', 'swish'], because: 'llama.cpp computes SiLU' };

/** Layers that have biases in some checkpoints and none in llama.cpp. */
export function noBiases(field: string): Limit {
  return { field, allowed: [undefined, false], because: 'llama.cpp has no biases there' };
}

/** GELU, under the names of its forms: llama.cpp computes the tanh form for all. */
export function gelu(field: string): Limit {
  return {
    field,
    allowed: [undefined, 'gelu', 'gelu_new', 'gelu_fast', 'gelu_pytorch_tanh'],
    because: 'llama.cpp computes the tanh form of GELU',
  };
}

/** What a file says beside its keys. */
export interface FileFacts {
  has(tensor: string): boolean;
  number(key: string): number | undefined;
}

/** How one architecture of llama.cpp relates to checkpoints. */
export interface GgufArchitecture {
  /** llama.cpp's name: `general.architecture` and the prefix of the keys. */
  readonly name: string;
  /** `model_type` of checkpoints that become it. */
  readonly modelTypes: readonly string[];
  /** `architectures[0]` of each model type. */
  readonly classes: readonly string[];
  /** Which model type a file is read as; the first if absent. */
  variant?(facts: FileFacts): number;
  /** config.json's other names of sizes, the usual one first. */
  readonly spelling?: Partial<Record<SizeName, readonly string[]>>;
  /** Values where config.json is silent. */
  readonly defaults?: Readonly<Record<string, number>>;
  /** The same by model type, where config classes differ. */
  readonly silent?: Readonly<Record<string, Json>>;
  /** Heads that share keys and values, where config.json has its own way to say it. */
  kvHeads?(config: Json, heads: number): number;
  readonly epsilon: { readonly key: 'layer_norm_epsilon' | 'layer_norm_rms_epsilon'; readonly config: string };
  /** Rotary positions: the base and the rotated part of a head where config.json is silent. Absent for other kinds of positions. */
  readonly rope?: { readonly theta: number; readonly part?: number; readonly partName?: string; readonly thetaName?: string };
  /** Scalings of the rotation whose factors llama.cpp loads as tensors there. */
  readonly factorTensors?: readonly ('llama3' | 'longrope')[];
  /** Whether llama.cpp loads heads whose sizes do not add up to the hidden size. */
  readonly ownHeadSize?: true;
  /** Whether llama.cpp attends to everything where config.json has a sliding window. */
  readonly ignoresWindow?: true;
  /** Where llama.cpp takes the head from: a tensor of its own, always the embedding, or the embedding if there is no tensor. */
  readonly head: 'own' | 'embedding' | 'either';
  readonly tiedByDefault?: boolean;
  /** Tensors outside blocks. */
  readonly outside: readonly TensorRule[];
  /** What the names of block tensors begin with, before the number. */
  readonly blocks: string;
  /** Tensors of a block. */
  inBlock(config: Json): readonly TensorRule[];
  /** A prefix that some checkpoints leave out. */
  readonly optionalPrefix?: string;
  /** Further values: key, name in config.json, type, and whether it must be there. */
  readonly values?: readonly (readonly [key: string, config: string, type: ScalarType, fallback?: number | boolean])[];
  /** Keys with one value for all models of the architecture. */
  readonly constants?: readonly (readonly [key: string, value: string])[];
  /** Fields of config.json that a tensor's presence tells. */
  readonly flags?: readonly (readonly [field: string, tensor: string])[];
  /** Fields of config.json that all its models share. */
  readonly fixed?: Json;
  /** Further fields of config.json. */
  restore?(config: ModelConfig, facts: FileFacts): Json;
  readonly limits?: readonly Limit[];
  /** @throws CalibrantError `UNSUPPORTED` for what llama.cpp computes differently. */
  check?(config: ModelConfig, raw: Json, model: string): void;
}

/** Rules with the name parts that nearly all follow. */
export const OUTSIDE: readonly TensorRule[] = [
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
];

export const RMS = { key: 'layer_norm_rms_epsilon', config: 'rms_norm_eps' } as const;

/** Attention of separate projections; `as` for q and k. */
export function attentionRules(as?: Arrangement): TensorRule[] {
  return [
    ['attn_q', 'self_attn.q_proj', as],
    ['attn_k', 'self_attn.k_proj', as],
    ['attn_v', 'self_attn.v_proj'],
    ['attn_output', 'self_attn.o_proj'],
  ];
}

export const GATED_MLP: readonly TensorRule[] = [
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
];

/** Norms before attention and before the MLP. */
export const PRE_NORMS: readonly TensorRule[] = [
  ['attn_norm', 'input_layernorm'],
  ['ffn_norm', 'post_attention_layernorm'],
];

export const HEAD_NORMS: readonly TensorRule[] = [
  ['attn_q_norm', 'self_attn.q_norm'],
  ['attn_k_norm', 'self_attn.k_norm'],
];
