import { CalibrantError } from '@calibrant/core';
import { attentionRules, GATED_MLP, type GgufArchitecture, gelu, noBiases, RMS, type TensorRule } from '../architecture.js';
import type { Json, ModelConfig } from '../model-config.js';

const OUTSIDE: readonly TensorRule[] = [
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm', 'plus one'],
  ['output', 'lm_head'],
];

const SANDWICH: readonly TensorRule[] = [
  ['attn_norm', 'input_layernorm', 'plus one'],
  ['post_attention_norm', 'post_attention_layernorm', 'plus one'],
  ['ffn_norm', 'pre_feedforward_layernorm', 'plus one'],
  ['post_ffw_norm', 'post_feedforward_layernorm', 'plus one'],
];

const COMMON = {
  epsilon: RMS,
  ownHeadSize: true,
  head: 'embedding',
  tiedByDefault: true,
  outside: OUTSIDE,
  blocks: 'model.layers.',
} as const;

const NO_BIAS = noBiases('attention_bias');
const CAUSAL = { field: 'use_bidirectional_attention', allowed: [undefined, false], because: 'only causal models are converted' };

/** Gemma 1: norms multiply by 1 + weight, the head is the embedding. */
export const gemma: GgufArchitecture = {
  ...COMMON,
  name: 'gemma',
  modelTypes: ['gemma'],
  classes: ['GemmaForCausalLM'],
  defaults: { head_dim: 256 },
  rope: { theta: 10000 },
  inBlock: () => [
    ['attn_norm', 'input_layernorm', 'plus one'],
    ['ffn_norm', 'post_attention_layernorm', 'plus one'],
    ...attentionRules(),
    ...GATED_MLP,
  ],
  fixed: { hidden_act: 'gelu_pytorch_tanh', hidden_activation: 'gelu_pytorch_tanh' },
  limits: [gelu('hidden_act'), gelu('hidden_activation'), NO_BIAS, CAUSAL],
};

/** Gemma 2: soft caps, and every other layer slides. */
export const gemma2: GgufArchitecture = {
  ...COMMON,
  name: 'gemma2',
  modelTypes: ['gemma2'],
  classes: ['Gemma2ForCausalLM'],
  defaults: { head_dim: 256, sliding_window: 4096 },
  rope: { theta: 10000 },
  inBlock: () => [...SANDWICH, ...attentionRules(), ...GATED_MLP],
  values: [
    ['attn_logit_softcapping', 'attn_logit_softcapping', 'f32', 50],
    ['final_logit_softcapping', 'final_logit_softcapping', 'f32', 30],
  ],
  fixed: { hidden_activation: 'gelu_pytorch_tanh' },
  limits: [gelu('hidden_activation'), NO_BIAS, CAUSAL],
  restore: (config) => ({ query_pre_attn_scalar: scoreSize(config, 46), layer_types: layerTypes(config.layers, 2) }),
  check(config, raw, model) {
    for (const option of ['attn_logit_softcapping', 'final_logit_softcapping'])
      if (raw[option] === null)
        throw new CalibrantError('UNSUPPORTED', `${model}: "${option}" in config.json is null, but llama.cpp always caps there.`, {
          option,
        });
    checkScores(config, raw, model, 46);
    checkLayers(config, raw, model, 2);
  },
};

/** Gemma 3, text: norms of each head, a base of its own for the layers that slide, five of six. */
export const gemma3: GgufArchitecture = {
  ...COMMON,
  name: 'gemma3',
  modelTypes: ['gemma3_text'],
  classes: ['Gemma3ForCausalLM'],
  defaults: {
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    max_position_embeddings: 131072,
    sliding_window: 4096,
    vocab_size: 262208,
  },
  rope: { theta: 1000000 },
  inBlock: () => [
    ...SANDWICH,
    ...attentionRules(),
    ['attn_q_norm', 'self_attn.q_norm', 'plus one'],
    ['attn_k_norm', 'self_attn.k_norm', 'plus one'],
    ...GATED_MLP,
  ],
  values: [['final_logit_softcapping', 'final_logit_softcapping', 'f32']],
  fixed: { hidden_activation: 'gelu_pytorch_tanh' },
  limits: [
    gelu('hidden_activation'),
    NO_BIAS,
    CAUSAL,
    { field: 'attn_logit_softcapping', allowed: [undefined], because: 'llama.cpp caps no scores there' },
  ],
  restore: (config, { number }) => ({
    query_pre_attn_scalar: scoreSize(config, 62),
    layer_types: layerTypes(config.layers, 6),
    rope_local_base_freq: number('rope.freq_base_swa') ?? 10000,
    ...(number('final_logit_softcapping') === undefined ? { final_logit_softcapping: null } : {}),
  }),
  check(config, raw, model) {
    checkScores(config, raw, model, 62);
    checkLayers(config, raw, model, 6);
    checkRotations(config, raw, model);
  },
};

/** Scores are divided by the root of this: the size of a head, but in the largest model (told by its layers) the width by the heads. */
function scoreSize({ layers, headDim, hiddenSize, heads }: ModelConfig, largest: number): number {
  return layers === largest ? hiddenSize / heads : headDim;
}

function checkScores(config: ModelConfig, raw: Json, model: string, largest: number): void {
  const [expected, found] = [scoreSize(config, largest), raw['query_pre_attn_scalar'] ?? 256];
  if (found === expected) return;
  throw new CalibrantError(
    'UNSUPPORTED',
    `${model}: llama.cpp divides the attention scores of a Gemma with ${config.layers} layers by the root of ${expected}, but "query_pre_attn_scalar" in config.json is ${JSON.stringify(found)}.`,
    { option: 'query_pre_attn_scalar' },
  );
}

/** llama.cpp scales the rotations of the layers that see all by a factor, and those that slide not at all. */
function checkRotations({ ropeScaling }: ModelConfig, raw: Json, model: string): void {
  const sliding = ((raw['rope_parameters'] ?? {}) as Json)['sliding_attention'] as Json | undefined;
  const local = sliding?.['rope_type'] ?? 'default';
  const found = local !== 'default' ? local : ropeScaling && ropeScaling.type !== 'linear' ? ropeScaling.type : undefined;
  if (found === undefined) return;
  throw new CalibrantError(
    'UNSUPPORTED',
    `${model}: in llama.cpp the layers of Gemma 3 that see all are scaled by "linear" at most, and those that slide not at all, but config.json asks for "${String(found)}" ${local === 'default' ? 'in the former' : 'in the latter'}.`,
    { option: 'rope_scaling' },
  );
}

function layerTypes(layers: number, pattern: number): string[] {
  return Array.from({ length: layers }, (_, layer) => ((layer + 1) % pattern === 0 ? 'full_attention' : 'sliding_attention'));
}

function checkLayers({ layers }: ModelConfig, raw: Json, model: string, pattern: number): void {
  const own = raw['sliding_window_pattern'] ?? raw['_sliding_window_pattern'] ?? pattern;
  const found = Array.isArray(raw['layer_types']) ? (raw['layer_types'] as unknown[]) : layerTypes(layers, Number(own));
  const wrong = layerTypes(layers, pattern).findIndex((type, layer) => found[layer] !== type);
  if (wrong < 0) return;
  throw new CalibrantError(
    'UNSUPPORTED',
    `${model}: in llama.cpp every layer of this architecture but each ${pattern}. one has the sliding window, but config.json says otherwise for layer ${wrong}.`,
    { option: 'layer_types' },
  );
}
