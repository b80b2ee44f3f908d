import type { Tensor } from '@calibrant/core';

type Matrix = Float64Array[];

/** A second implementation of the golden decoders, written from the papers in f64 and without any of the package's code. */
export function plainForward(config: Record<string, any>, weights: ReadonlyMap<string, Tensor>, ids: ArrayLike<number>): Matrix {
  const w = (name: string) => weights.get(name)?.data as Float32Array | undefined;
  const eps = config.rms_norm_eps;
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads;
  const size = config.head_dim ?? config.hidden_size / heads;
  const norm = (x: Float64Array, weight: Float32Array): Float64Array => {
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(mean + eps)) * weight[i]);
  };
  const linear = (x: Float64Array, name: string): Float64Array => {
    const matrix = w(`${name}.weight`)!;
    const bias = w(`${name}.bias`);
    return Float64Array.from({ length: matrix.length / x.length }, (_, row) =>
      x.reduce((sum, value, i) => sum + value * matrix[row * x.length + i], bias ? bias[row] : 0),
    );
  };
  const frequency = (i: number): number => {
    const { rope_theta: theta, rope_type: kind, factor, low_freq_factor: low, high_freq_factor: high, ...rest } = config.rope_parameters;
    const plain = theta ** ((-2 * i) / size);
    if (kind !== 'llama3') return plain;
    const length = (2 * Math.PI) / plain;
    const original = rest.original_max_position_embeddings;
    if (length > original / low) return plain / factor;
    if (length < original / high) return plain;
    const blend = (original / length - low) / (high - low);
    return ((1 - blend) * plain) / factor + blend * plain;
  };
  const turn = (x: Float64Array, position: number): Float64Array => {
    const y = x.slice();
    for (let i = 0; i < size / 2; i++) {
      const angle = position * frequency(i);
      y[i] = x[i] * Math.cos(angle) - x[i + size / 2] * Math.sin(angle);
      y[i + size / 2] = x[i + size / 2] * Math.cos(angle) + x[i] * Math.sin(angle);
    }
    return y;
  };
  const split = (x: Float64Array, normWeight: Float32Array | undefined): Matrix =>
    Array.from({ length: x.length / size }, (_, head) => {
      const part = x.slice(head * size, (head + 1) * size);
      return normWeight ? norm(part, normWeight) : part;
    });

  const embedding = w('model.embed_tokens.weight')!;
  let hidden: Matrix = Array.from(ids, (id) =>
    Float64Array.from(embedding.subarray(id * config.hidden_size, (id + 1) * config.hidden_size)),
  );
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const name = `model.layers.${layer}`;
    const rotates = config.no_rope_layers ? config.no_rope_layers[layer] === 1 : true;
    const placed = (parts: Matrix, position: number) => (rotates ? parts.map((part) => turn(part, position)) : parts);
    const inputs = hidden.map((x) => norm(x, w(`${name}.input_layernorm.weight`)!));
    const project = (which: string) => inputs.map((x) => linear(x, `${name}.self_attn.${which}_proj`));
    const queries = project('q').map((x, t) => placed(split(x, w(`${name}.self_attn.q_norm.weight`)), t));
    const keys = project('k').map((x, t) => placed(split(x, w(`${name}.self_attn.k_norm.weight`)), t));
    const values = project('v').map((x) => split(x, undefined));
    hidden = hidden.map((x, t) => {
      const mixed = queries[t].flatMap((q, head) => {
        const kv = Math.floor(head / (heads / kvHeads));
        const from = config.model_type === 'mistral' && config.sliding_window ? Math.max(0, t - config.sliding_window + 1) : 0;
        const scores = keys
          .slice(from, t + 1)
          .map((k) => Math.exp(q.reduce((sum, value, i) => sum + value * k[kv][i], 0) / Math.sqrt(size)));
        const total = scores.reduce((sum, score) => sum + score, 0);
        return Array.from({ length: size }, (_, i) => scores.reduce((sum, score, s) => sum + (score / total) * values[from + s][kv][i], 0));
      });
      const projected = linear(Float64Array.from(mixed), `${name}.self_attn.o_proj`);
      const middle = x.map((value, i) => value + projected[i]);
      const input = norm(middle, w(`${name}.post_attention_layernorm.weight`)!);
      const up = linear(input, `${name}.mlp.up_proj`);
      const gated = linear(input, `${name}.mlp.gate_proj`).map((gate, i) => (gate / (1 + Math.exp(-gate))) * up[i]);
      const down = linear(gated, `${name}.mlp.down_proj`);
      return middle.map((value, i) => value + down[i]);
    });
  }
  const head = config.tie_word_embeddings ? 'model.embed_tokens' : 'lm_head';
  return hidden.map((x) => linear(norm(x, w('model.norm.weight')!), head));
}
