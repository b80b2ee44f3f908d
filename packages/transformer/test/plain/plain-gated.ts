import {
  ACTIVATIONS,
  attend,
  type Config,
  centred,
  frequencies,
  type PlainMath,
  pieces,
  plus,
  times,
  turn,
  type Vector,
} from './plain-math.js';

/** The decoders under Llama's tensor names: gated MLPs or mixtures of them. */
export function plainGated(config: Config, math: PlainMath, ids: ArrayLike<number>): Vector[] {
  const type: string = config['model_type'];
  const eps = config['rms_norm_eps'] ?? config['layer_norm_eps'];
  const gemma = type.startsWith('gemma');
  const norm = (x: Vector, name: string) =>
    type === 'stablelm' || type === 'cohere' ? math.layer(x, name, eps) : math.rms(x, name, eps, gemma ? 1 : 0);
  const scale = gemma ? Math.sqrt(config['hidden_size']) : (config['embedding_multiplier'] ?? 1);
  let hidden = math.embed('model.embed_tokens.weight', ids, config['hidden_size']).map((x) => times(x, scale));
  for (let layer = 0; layer < config['num_hidden_layers']; layer++) {
    const prefix = `model.layers.${layer}`;
    const inputs = hidden.map((x) => (type === 'olmo2' ? x : norm(x, `${prefix}.input_layernorm`)));
    const attended = attention(config, math, inputs, layer);
    const residual = config['residual_multiplier'] ?? 1;
    hidden = hidden.map((x, t) => {
      const after = /gemma[23]|olmo2/.test(type) ? norm(attended[t], `${prefix}.post_attention_layernorm`) : attended[t];
      if (type === 'cohere' || config['use_parallel_residual']) return plus(x, after, mlp(config, math, inputs[t], layer));
      const middle = plus(x, times(after, residual));
      const second = /gemma[23]/.test(type) ? 'pre_feedforward_layernorm' : 'post_attention_layernorm';
      const out = mlp(config, math, type === 'olmo2' ? middle : norm(middle, `${prefix}.${second}`), layer);
      return plus(middle, times(/gemma[23]|olmo2/.test(type) ? norm(out, `${prefix}.post_feedforward_layernorm`) : out, residual));
    });
  }
  const head = config['tie_word_embeddings'] ? 'model.embed_tokens' : 'lm_head';
  const factor = config['logit_scale'] ?? 1 / (config['logits_scaling'] ?? 1);
  const cap = config['final_logit_softcapping'];
  return hidden.map((x) => {
    const logits = times(math.linear(norm(x, 'model.norm'), head), factor);
    return cap ? logits.map((value) => cap * Math.tanh(value / cap)) : logits;
  });
}

function attention(config: Config, math: PlainMath, inputs: Vector[], layer: number): Vector[] {
  const { model_type: type, num_attention_heads: heads, num_key_value_heads: kvHeads, rms_norm_eps: eps } = config;
  const size = config['head_dim'] ?? config['hidden_size'] / heads;
  const prefix = `model.layers.${layer}.self_attn`;
  const slides = config['layer_types'] ? config['layer_types'][layer] === 'sliding_attention' : type === 'mistral';
  const rope = config['rope_parameters'][slides ? 'sliding_attention' : 'full_attention'] ?? config['rope_parameters'];
  const speeds = frequencies(rope, size * (rope.partial_rotary_factor ?? 1));
  const rotates = config['no_rope_layers'] ? config['no_rope_layers'][layer] === 1 : true;
  const fused = math.w(`${prefix}.qkv_proj.weight`) ? inputs.map((x) => math.linear(x, `${prefix}.qkv_proj`)) : undefined;
  const [q, k] = [heads * size, kvHeads * size];
  const projected = (which: string, from: number, to: number) =>
    fused ? fused.map((x) => x.slice(from, to)) : inputs.map((x) => math.linear(x, `${prefix}.${which}_proj`));
  const normed = (x: Vector, which: string): Vector[] => {
    const own = math.w(`${prefix}.${which}_norm.weight`);
    const parts = pieces(x, size);
    if (math.w(`${prefix}.${which}_layernorm.norms.0.weight`))
      return parts.map((part, head) => math.layer(part, `${prefix}.${which}_layernorm.norms.${head}`, config['layer_norm_eps']));
    if (!own) return parts;
    if (type === 'cohere')
      return parts.map((part, head) => centred(part, config['layer_norm_eps']).map((value, i) => value * own[head * size + i]));
    if (type === 'olmo2') return pieces(math.rms(x, `${prefix}.${which}_norm`, eps), size);
    return parts.map((part) => math.rms(part, `${prefix}.${which}_norm`, eps, type.startsWith('gemma') ? 1 : 0));
  };
  const placed = (vectors: Vector[], which: string) =>
    vectors.map((x, t) => normed(x, which).map((part) => (rotates ? turn(part, t, speeds, type === 'cohere') : part)));
  const mixed = attend(
    placed(projected('q', 0, q), 'q'),
    placed(projected('k', q, q + k), 'k'),
    projected('v', q + k, q + 2 * k).map((x) => pieces(x, size)),
    {
      scale: config['attention_multiplier'] ?? (config['query_pre_attn_scalar'] ?? size) ** -0.5,
      window: slides && type !== 'qwen2' ? config['sliding_window'] : undefined,
      softcap: config['attn_logit_softcapping'],
    },
  );
  return mixed.map((x) => math.linear(x, `${prefix}.o_proj`));
}

function mlp(config: Config, math: PlainMath, x: Vector, layer: number): Vector {
  const prefix = `model.layers.${layer}`;
  const activation = ACTIVATIONS[config['hidden_act'] ?? config['hidden_activation']];
  const gated = (gate: string, up: string, down: string): Vector => {
    const ups = math.linear(x, up);
    return math.linear(
      math.linear(x, gate).map((value, i) => activation(value) * ups[i]),
      down,
    );
  };
  const named = (name: string) => gated(`${name}.gate_proj`, `${name}.up_proj`, `${name}.down_proj`);
  if (math.w(`${prefix}.mlp.gate_up_proj.weight`)) {
    const both = math.linear(x, `${prefix}.mlp.gate_up_proj`);
    const half = both.length / 2;
    return math.linear(
      both.slice(0, half).map((value, i) => activation(value) * both[half + i]),
      `${prefix}.mlp.down_proj`,
    );
  }
  const mixtral = config['model_type'] === 'mixtral';
  const router = `${prefix}.${mixtral ? 'block_sparse_moe' : 'mlp'}.gate`;
  if (!math.w(`${router}.weight`)) return named(`${prefix}.mlp`);

  const logits = math.linear(x, router);
  const shares = logits.map(Math.exp);
  const chosen = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, config['num_experts_per_tok']);
  const whole = mixtral || config['norm_topk_prob'] ? chosen.map((e) => shares[e]) : [...shares];
  const total = whole.reduce((a, b) => a + b);
  const outputs = chosen.map((e) => {
    const expert = mixtral ? `${prefix}.block_sparse_moe.experts.${e}` : `${prefix}.mlp.experts.${e}`;
    return times(mixtral ? gated(`${expert}.w1`, `${expert}.w3`, `${expert}.w2`) : named(expert), shares[e] / total);
  });
  const gate = math.w(`${prefix}.mlp.shared_expert_gate.weight`) && math.linear(x, `${prefix}.mlp.shared_expert_gate`)[0];
  if (gate !== undefined) outputs.push(times(named(`${prefix}.mlp.shared_expert`), 1 / (1 + Math.exp(-gate))));
  return plus(...outputs);
}
