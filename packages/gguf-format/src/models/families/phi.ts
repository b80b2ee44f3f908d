import { type GgufArchitecture, gelu, OUTSIDE, PRE_NORMS, RMS, SILU } from '../architecture.js';

/** Phi 1, 1.5 and 2: attention and MLP side by side on one norm, a part of each head turns. */
export const phi2: GgufArchitecture = {
  name: 'phi2',
  modelTypes: ['phi'],
  classes: ['PhiForCausalLM'],
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_eps' },
  rope: { theta: 10000, part: 0.5 },
  head: 'own',
  outside: [
    ['token_embd', 'model.embed_tokens'],
    ['output_norm', 'model.final_layernorm'],
    ['output', 'lm_head'],
  ],
  blocks: 'model.layers.',
  inBlock: () => [
    ['attn_norm', 'input_layernorm'],
    ['attn_q', 'self_attn.q_proj'],
    ['attn_k', 'self_attn.k_proj'],
    ['attn_v', 'self_attn.v_proj'],
    ['attn_output', 'self_attn.dense'],
    ['ffn_up', 'mlp.fc1'],
    ['ffn_down', 'mlp.fc2'],
  ],
  fixed: { hidden_act: 'gelu_new', qk_layernorm: false },
  limits: [
    gelu('hidden_act'),
    { field: 'qk_layernorm', allowed: [undefined, false], because: 'llama.cpp has no norms of queries and keys there' },
  ],
};

/** Phi 3, 3.5 and 4: fused projections as they are, LongRoPE's factors in tensors. */
export const phi3: GgufArchitecture = {
  name: 'phi3',
  modelTypes: ['phi3'],
  classes: ['Phi3ForCausalLM'],
  defaults: { rms_norm_eps: 1e-5 },
  epsilon: RMS,
  rope: { theta: 10000 },
  factorTensors: ['longrope'],
  ignoresWindow: true,
  head: 'either',
  outside: OUTSIDE,
  blocks: 'model.layers.',
  inBlock: () => [
    ...PRE_NORMS,
    ['attn_qkv', 'self_attn.qkv_proj'],
    ['attn_output', 'self_attn.o_proj'],
    ['ffn_up', 'mlp.gate_up_proj'],
    ['ffn_down', 'mlp.down_proj'],
  ],
  fixed: { hidden_act: 'silu' },
  limits: [SILU],
};
