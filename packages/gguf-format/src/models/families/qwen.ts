import {
  attentionRules,
  GATED_MLP,
  type GgufArchitecture,
  HEAD_NORMS,
  type Limit,
  OUTSIDE,
  PRE_NORMS,
  RMS,
  SILU,
  type TensorRule,
} from '../architecture.js';
import { checkWindow } from '../check-window.js';
import type { Json, ModelConfig } from '../model-config.js';

const COMMON = {
  epsilon: RMS,
  rope: { theta: 10000 },
  head: 'either',
  outside: OUTSIDE,
  blocks: 'model.layers.',
  fixed: { hidden_act: 'silu' },
  check: checkWindow,
} as const;

/** Biases of q, k, v and the output alike; those of the output have no place in llama.cpp's Qwen 3. */
const NO_BIAS: Limit = { field: 'attention_bias', allowed: [undefined, false], because: 'llama.cpp has no bias of the attention output' };

/** Whether a layer slides where "layer_types" is silent: every other one of the first, or all. */
const slidesInQwen2Moe = (layer: number, raw: Json) => layer % 2 === 0 && layer < Number(raw['max_window_layers'] ?? 28);
const slidesInQwen3Moe = () => true;

const EXPERTS: readonly TensorRule[] = [
  ['ffn_gate_inp', 'mlp.gate'],
  ['ffn_gate_exps', 'mlp.experts.#.gate_proj'],
  ['ffn_up_exps', 'mlp.experts.#.up_proj'],
  ['ffn_down_exps', 'mlp.experts.#.down_proj'],
];

/** With the sizes of the config class where config.json is silent. */
function expertValues(count: number, used: number, size: number): NonNullable<GgufArchitecture['values']> {
  return [
    ['expert_count', 'num_experts', 'u32', count],
    ['expert_used_count', 'num_experts_per_tok', 'u32', used],
    ['expert_feed_forward_length', 'moe_intermediate_size', 'u32', size],
  ];
}

const ALL_SPARSE: readonly Limit[] = [
  SILU,
  { field: 'decoder_sparse_step', allowed: [undefined, 1], because: 'llama.cpp expects experts in every layer' },
  { field: 'mlp_only_layers', allowed: [undefined, '[]'], because: 'llama.cpp expects experts in every layer' },
];

export const qwen2: GgufArchitecture = {
  ...COMMON,
  name: 'qwen2',
  modelTypes: ['qwen2'],
  classes: ['Qwen2ForCausalLM'],
  inBlock: () => [...PRE_NORMS, ...attentionRules(), ...GATED_MLP],
  limits: [SILU],
};

export const qwen3: GgufArchitecture = {
  ...COMMON,
  name: 'qwen3',
  ownHeadSize: true,
  modelTypes: ['qwen3'],
  classes: ['Qwen3ForCausalLM'],
  inBlock: () => [...PRE_NORMS, ...HEAD_NORMS, ...attentionRules(), ...GATED_MLP],
  limits: [SILU, NO_BIAS],
};

/** Qwen 1.5 and 2 with experts, of which one is shared and gated. */
export const qwen2Moe: GgufArchitecture = {
  ...COMMON,
  name: 'qwen2moe',
  modelTypes: ['qwen2_moe'],
  classes: ['Qwen2MoeForCausalLM'],
  head: 'own',
  inBlock: () => [
    ...PRE_NORMS,
    ...attentionRules(),
    ...EXPERTS,
    ['ffn_gate_inp_shexp', 'mlp.shared_expert_gate', 'flat'],
    ['ffn_gate_shexp', 'mlp.shared_expert.gate_proj'],
    ['ffn_up_shexp', 'mlp.shared_expert.up_proj'],
    ['ffn_down_shexp', 'mlp.shared_expert.down_proj'],
  ],
  values: [...expertValues(60, 4, 1408), ['expert_shared_feed_forward_length', 'shared_expert_intermediate_size', 'u32', 5632]],
  flags: [['qkv_bias', 'blk.0.attn_q.bias']],
  fixed: { hidden_act: 'silu', norm_topk_prob: false, decoder_sparse_step: 1, mlp_only_layers: [] },
  limits: [...ALL_SPARSE, { field: 'norm_topk_prob', allowed: [undefined, false], because: 'llama.cpp does not normalize there' }],
  check: (config: ModelConfig, raw: Json, model: string) => checkWindow(config, raw, model, slidesInQwen2Moe),
};

export const qwen3Moe: GgufArchitecture = {
  ...COMMON,
  name: 'qwen3moe',
  ownHeadSize: true,
  modelTypes: ['qwen3_moe'],
  classes: ['Qwen3MoeForCausalLM'],
  head: 'own',
  inBlock: () => [...PRE_NORMS, ...HEAD_NORMS, ...attentionRules(), ...EXPERTS],
  values: expertValues(128, 8, 768),
  fixed: { hidden_act: 'silu', norm_topk_prob: true, decoder_sparse_step: 1, mlp_only_layers: [] },
  limits: [...ALL_SPARSE, NO_BIAS, { field: 'norm_topk_prob', allowed: [true], because: 'llama.cpp always normalizes there' }],
  check: (config: ModelConfig, raw: Json, model: string) => checkWindow(config, raw, model, slidesInQwen3Moe),
};
