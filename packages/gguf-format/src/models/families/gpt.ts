import { type GgufArchitecture, gelu, noBiases, type TensorRule } from '../architecture.js';

const MLP_4H: readonly TensorRule[] = [
  ['ffn_up', 'mlp.dense_h_to_4h'],
  ['ffn_down', 'mlp.dense_4h_to_h'],
];

/** GPT-2: learned positions, matrices stored as `[in, out]`. */
export const gpt2: GgufArchitecture = {
  name: 'gpt2',
  modelTypes: ['gpt2'],
  classes: ['GPT2LMHeadModel'],
  spelling: {
    hidden_size: ['n_embd'],
    num_hidden_layers: ['n_layer'],
    num_attention_heads: ['n_head'],
    intermediate_size: ['n_inner'],
    max_position_embeddings: ['n_positions', 'n_ctx'],
  },
  kvHeads: (_config, heads) => heads,
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_epsilon' },
  head: 'either',
  tiedByDefault: true,
  outside: [
    ['token_embd', 'transformer.wte'],
    ['position_embd', 'transformer.wpe'],
    ['output_norm', 'transformer.ln_f'],
    ['output', 'lm_head'],
  ],
  blocks: 'transformer.h.',
  inBlock: () => [
    ['attn_norm', 'ln_1'],
    ['attn_qkv', 'attn.c_attn', 'transposed'],
    ['attn_output', 'attn.c_proj', 'transposed'],
    ['ffn_norm', 'ln_2'],
    ['ffn_up', 'mlp.c_fc', 'transposed'],
    ['ffn_down', 'mlp.c_proj', 'transposed'],
  ],
  optionalPrefix: 'transformer.',
  fixed: { activation_function: 'gelu_new' },
  limits: [
    { field: 'scale_attn_weights', allowed: [undefined, true], because: 'llama.cpp always scales the scores' },
    { field: 'scale_attn_by_inverse_layer_idx', allowed: [undefined, false], because: 'llama.cpp scales all layers alike' },
    gelu('activation_function'),
  ],
};

/** GPT-NeoX and Pythia: q, k and v of each head side by side become all q, all k, all v. */
export const gptNeoX: GgufArchitecture = {
  name: 'gptneox',
  modelTypes: ['gpt_neox'],
  classes: ['GPTNeoXForCausalLM'],
  kvHeads: (_config, heads) => heads,
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_eps' },
  rope: { theta: 10000, part: 0.25, partName: 'rotary_pct', thetaName: 'rotary_emb_base' },
  head: 'own',
  outside: [
    ['token_embd', 'gpt_neox.embed_in'],
    ['output_norm', 'gpt_neox.final_layer_norm'],
    ['output', 'embed_out'],
  ],
  blocks: 'gpt_neox.layers.',
  inBlock: () => [
    ['attn_norm', 'input_layernorm'],
    ['attn_qkv', 'attention.query_key_value', 'fused'],
    ['attn_output', 'attention.dense'],
    ['ffn_norm', 'post_attention_layernorm'],
    ...MLP_4H,
  ],
  values: [['use_parallel_residual', 'use_parallel_residual', 'bool', true]],
  fixed: { hidden_act: 'gelu' },
  limits: [gelu('hidden_act'), { field: 'attention_bias', allowed: [undefined, true], because: 'llama.cpp expects biases there' }],
};

/** Bloom: ALiBi, a norm of the embeddings, fused projections as in GPT-NeoX. */
export const bloom: GgufArchitecture = {
  name: 'bloom',
  modelTypes: ['bloom'],
  classes: ['BloomForCausalLM'],
  spelling: {
    hidden_size: ['hidden_size', 'n_embed'],
    num_hidden_layers: ['n_layer', 'num_hidden_layers'],
    num_attention_heads: ['n_head', 'num_attention_heads'],
    max_position_embeddings: ['seq_length'],
  },
  defaults: { max_position_embeddings: 2048 },
  kvHeads: (_config, heads) => heads,
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_epsilon' },
  head: 'either',
  tiedByDefault: true,
  outside: [
    ['token_embd', 'transformer.word_embeddings'],
    ['token_embd_norm', 'transformer.word_embeddings_layernorm'],
    ['output_norm', 'transformer.ln_f'],
    ['output', 'lm_head'],
  ],
  blocks: 'transformer.h.',
  inBlock: () => [
    ['attn_norm', 'input_layernorm'],
    ['attn_qkv', 'self_attention.query_key_value', 'fused'],
    ['attn_output', 'self_attention.dense'],
    ['ffn_norm', 'post_attention_layernorm'],
    ...MLP_4H,
  ],
  optionalPrefix: 'transformer.',
  limits: [
    {
      field: 'apply_residual_connection_post_layernorm',
      allowed: [undefined, false],
      because: 'llama.cpp adds to the values before the norm',
    },
  ],
};

/** Falcon 7B, 40B and 11B: q, k and v of each group of heads side by side become all q, all k, all v. */
export const falcon: GgufArchitecture = {
  name: 'falcon',
  modelTypes: ['falcon', 'RefinedWeb', 'RefinedWebModel'],
  classes: ['FalconForCausalLM', 'FalconForCausalLM', 'FalconForCausalLM'],
  spelling: {
    hidden_size: ['hidden_size', 'n_embed'],
    num_hidden_layers: ['num_hidden_layers', 'n_layer'],
    num_attention_heads: ['num_attention_heads', 'n_head'],
    num_key_value_heads: ['num_kv_heads', 'n_head_kv'],
    intermediate_size: ['ffn_hidden_size'],
  },
  defaults: { max_position_embeddings: 2048 },
  kvHeads(config, heads) {
    const given = config['num_kv_heads'] ?? config['n_head_kv'];
    if (config['new_decoder_architecture'] === true) return typeof given === 'number' ? given : heads;
    return config['multi_query'] === false ? heads : 1;
  },
  epsilon: { key: 'layer_norm_epsilon', config: 'layer_norm_epsilon' },
  rope: { theta: 10000 },
  head: 'either',
  tiedByDefault: true,
  outside: [
    ['token_embd', 'transformer.word_embeddings'],
    ['output_norm', 'transformer.ln_f'],
    ['output', 'lm_head'],
  ],
  blocks: 'transformer.h.',
  inBlock: (config) => [
    ...(config['new_decoder_architecture'] === true && (config['num_ln_in_parallel_attn'] ?? 2) === 2
      ? ([
          ['attn_norm', 'ln_mlp'],
          ['attn_norm_2', 'ln_attn'],
        ] as const)
      : ([['attn_norm', 'input_layernorm']] as const)),
    ['attn_qkv', 'self_attention.query_key_value', 'fused'],
    ['attn_output', 'self_attention.dense'],
    ...MLP_4H,
  ],
  optionalPrefix: 'transformer.',
  constants: [['tensor_data_layout', 'jploski']],
  fixed: { activation: 'gelu', alibi: false, bias: false, parallel_attn: true, new_decoder_architecture: true },
  restore: (_config, { has }) => ({ num_ln_in_parallel_attn: has('blk.0.attn_norm_2.weight') ? 2 : 1 }),
  limits: [
    gelu('activation'),
    { field: 'alibi', allowed: [undefined, false], because: 'llama.cpp knows only the Falcons with rotary positions' },
    { field: 'parallel_attn', allowed: [undefined, true], because: 'llama.cpp computes attention and MLP side by side' },
    noBiases('bias'),
  ],
};
