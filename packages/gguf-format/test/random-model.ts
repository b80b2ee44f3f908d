import { createRng, type Tensor, tensor } from '@calibrant/core';

export const TINY = {
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 96,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-6,
  vocab_size: 300,
  tie_word_embeddings: false,
} as const;

/** Tensors of a Llama-like model with random values. */
export function randomTensors(config: Record<string, unknown>, { bias = false, headNorms = false } = {}): Map<string, Tensor> {
  const rng = createRng(7);
  const number = (key: string) => Number(config[key]);
  const headDim = Number(config['head_dim'] ?? number('hidden_size') / number('num_attention_heads'));
  const [hidden, inner] = [number('hidden_size'), number('intermediate_size')];
  const [q, kv] = [number('num_attention_heads') * headDim, number('num_key_value_heads') * headDim];
  const tensors = new Map<string, Tensor>();
  const add = (name: string, ...shape: number[]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    tensors.set(
      name,
      tensor(
        'f32',
        shape,
        new Float32Array(count).map(() => rng.uniform() - 0.5),
      ),
    );
  };
  add('model.embed_tokens.weight', number('vocab_size'), hidden);
  add('model.norm.weight', hidden);
  if (config['tie_word_embeddings'] !== true) add('lm_head.weight', number('vocab_size'), hidden);
  for (let layer = 0; layer < number('num_hidden_layers'); layer++) {
    const block = `model.layers.${layer}`;
    for (const norm of ['input_layernorm', 'post_attention_layernorm']) add(`${block}.${norm}.weight`, hidden);
    for (const [name, rows, columns] of [
      ['self_attn.q_proj', q, hidden],
      ['self_attn.k_proj', kv, hidden],
      ['self_attn.v_proj', kv, hidden],
      ['self_attn.o_proj', hidden, q],
      ['mlp.gate_proj', inner, hidden],
      ['mlp.up_proj', inner, hidden],
      ['mlp.down_proj', hidden, inner],
    ] as const) {
      add(`${block}.${name}.weight`, rows, columns);
      if (bias && /[qkv]_proj/.test(name)) add(`${block}.${name}.bias`, rows);
    }
    if (headNorms) for (const norm of ['q_norm', 'k_norm']) add(`${block}.self_attn.${norm}.weight`, headDim);
  }
  return tensors;
}
