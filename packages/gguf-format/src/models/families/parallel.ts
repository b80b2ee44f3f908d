import { CalibrantError } from '@calibrant/core';
import { attentionRules, GATED_MLP, type GgufArchitecture, HEAD_NORMS, noBiases, OUTSIDE, PRE_NORMS, SILU } from '../architecture.js';

/** StableLM 2 and 3B: layer norms, a part of each head turns; the 12B norms each head of q and k. */
export const stablelm: GgufArchitecture = {
  name: 'stablelm',
  modelTypes: ['stablelm', 'stablelm_epoch'],
  classes: ['StableLmForCausalLM', 'StableLmForCausalLM'],
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_eps' },
  rope: { theta: 10000, part: 0.25 },
  head: 'own',
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [
    ...PRE_NORMS,
    ...attentionRules(),
    ['attn_q_norm', 'self_attn.q_layernorm.norms.#'],
    ['attn_k_norm', 'self_attn.k_layernorm.norms.#'],
    ...GATED_MLP,
  ],
  values: [['use_parallel_residual', 'use_parallel_residual', 'bool', false]],
  flags: [
    ['use_qkv_bias', 'blk.0.attn_q.bias'],
    ['qk_layernorm', 'blk.0.attn_q_norm.weight'],
  ],
  fixed: { hidden_act: 'silu' },
  limits: [SILU],
};

/** The fewest layers of a Command R+, by which llama.cpp knows that it norms its heads. */
const PLUS = 64;

/** Command R and R+: attention and MLP side by side on one norm, scaled logits, pairs rotated as llama.cpp does. */
export const commandR: GgufArchitecture = {
  name: 'command-r',
  modelTypes: ['cohere'],
  classes: ['CohereForCausalLM'],
  spelling: { max_position_embeddings: ['max_position_embeddings', 'model_max_length'] },
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_eps' },
  rope: { theta: 500000 },
  head: 'embedding',
  tiedByDefault: true,
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [['attn_norm', 'input_layernorm'], ...attentionRules(), ...HEAD_NORMS, ...GATED_MLP],
  values: [['logit_scale', 'logit_scale', 'f32', 0.0625]],
  constants: [['rope.scaling.type', 'none']],
  flags: [['use_qk_norm', 'blk.0.attn_q_norm.weight']],
  fixed: { hidden_act: 'silu' },
  limits: [SILU, noBiases('attention_bias')],
  check({ layers }, raw, model) {
    if ((raw['use_qk_norm'] === true) === layers >= PLUS) return;
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: llama.cpp norms the heads of q and k in Command R models of at least ${PLUS} layers and in no others, but this one has ${layers} layers and "use_qk_norm" is ${JSON.stringify(raw['use_qk_norm'] ?? false)}.`,
      { option: 'use_qk_norm' },
    );
  },
};
