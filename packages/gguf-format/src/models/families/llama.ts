import { CalibrantError } from '@calibrant/core';
import { attentionRules, GATED_MLP, type GgufArchitecture, HEAD_NORMS, noBiases, OUTSIDE, PRE_NORMS, RMS, SILU } from '../architecture.js';
import { checkWindow } from '../check-window.js';

/** Llama, Mistral and Mixtral: one architecture, which Mixtral's experts and Mistral's window tell apart. */
export const llama: GgufArchitecture = {
  name: 'llama',
  ownHeadSize: true,
  modelTypes: ['llama', 'mistral', 'mixtral'],
  classes: ['LlamaForCausalLM', 'MistralForCausalLM', 'MixtralForCausalLM'],
  variant: ({ has, number }) => (has('blk.0.ffn_gate_inp.weight') ? 2 : number('attention.sliding_window') !== undefined ? 1 : 0),
  silent: { mixtral: { num_local_experts: 8, num_experts_per_tok: 2, rms_norm_eps: 1e-5 } },
  // The first Llama's own name.
  spelling: { max_position_embeddings: ['max_position_embeddings', 'max_sequence_length'] },
  epsilon: RMS,
  rope: { theta: 10000 },
  factorTensors: ['llama3', 'longrope'],
  ignoresWindow: true,
  head: 'either',
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [
    ...PRE_NORMS,
    ...attentionRules('pairs'),
    ...GATED_MLP,
    ['ffn_gate_inp', 'block_sparse_moe.gate'],
    ['ffn_gate_exps', 'block_sparse_moe.experts.#.w1'],
    ['ffn_down_exps', 'block_sparse_moe.experts.#.w2'],
    ['ffn_up_exps', 'block_sparse_moe.experts.#.w3'],
  ],
  values: [
    ['expert_count', 'num_local_experts', 'u32'],
    ['expert_used_count', 'num_experts_per_tok', 'u32'],
  ],
  fixed: { hidden_act: 'silu' },
  limits: [SILU],
};

/** Every how many layers SmolLM3 leaves out the rotation, in llama.cpp. */
const UNROTATED = 4;

export const smollm3: GgufArchitecture = {
  name: 'smollm3',
  ownHeadSize: true,
  modelTypes: ['smollm3'],
  classes: ['SmolLM3ForCausalLM'],
  epsilon: RMS,
  rope: { theta: 2000000 },
  head: 'either',
  tiedByDefault: true,
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [...PRE_NORMS, ...attentionRules('pairs'), ...GATED_MLP],
  fixed: { hidden_act: 'silu' },
  restore: ({ layers }) => ({ no_rope_layers: Array.from({ length: layers }, (_, i) => ((i + 1) % UNROTATED === 0 ? 0 : 1)) }),
  limits: [SILU, ...['attention_bias', 'mlp_bias'].map(noBiases)],
  check(config, raw, model) {
    checkWindow(config, raw, model);
    const rotated = raw['no_rope_layers'];
    if (!Array.isArray(rotated)) return;
    const wrong = rotated.findIndex((rotates, layer) => Boolean(rotates) !== ((layer + 1) % UNROTATED !== 0));
    if (wrong >= 0)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${model}: llama.cpp leaves out the rotation in every fourth layer of SmolLM3, but "no_rope_layers" in config.json says otherwise for layer ${wrong}.`,
      );
  },
};

/** Granite: Llama with factors of embeddings, scores, additions and logits. */
export const granite: GgufArchitecture = {
  name: 'granite',
  ownHeadSize: true,
  modelTypes: ['granite'],
  classes: ['GraniteForCausalLM'],
  epsilon: RMS,
  rope: { theta: 10000 },
  factorTensors: ['llama3', 'longrope'],
  head: 'either',
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [...PRE_NORMS, ...attentionRules('pairs'), ...GATED_MLP],
  values: [
    ['attention.scale', 'attention_multiplier', 'f32', 1],
    ['embedding_scale', 'embedding_multiplier', 'f32', 1],
    ['residual_scale', 'residual_multiplier', 'f32', 1],
    ['logit_scale', 'logits_scaling', 'f32', 1],
  ],
  fixed: { hidden_act: 'silu' },
  limits: [SILU],
};

/** OLMo 2: norms behind attention and MLP, and of all queries and keys. */
export const olmo2: GgufArchitecture = {
  name: 'olmo2',
  modelTypes: ['olmo2'],
  classes: ['Olmo2ForCausalLM'],
  defaults: { rms_norm_eps: 1e-5 },
  epsilon: RMS,
  rope: { theta: 10000 },
  head: 'own',
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [
    ['post_attention_norm', 'post_attention_layernorm'],
    ['post_ffw_norm', 'post_feedforward_layernorm'],
    ...HEAD_NORMS,
    ...attentionRules(),
    ...GATED_MLP,
  ],
  fixed: { hidden_act: 'silu' },
  limits: [SILU, noBiases('attention_bias')],
};
