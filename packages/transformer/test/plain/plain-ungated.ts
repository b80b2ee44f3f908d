import { ACTIVATIONS, attend, type Config, frequencies, type PlainMath, pieces, plus, turn, type Vector } from './plain-math.js';

/** What sets GPT-2, GPT-NeoX, Phi, Falcon, Bloom and OPT apart, in their own words. */
interface Names {
  readonly embedding: string;
  readonly block: string;
  readonly attention: string;
  readonly output: string;
  readonly fused?: string;
  readonly firstNorm: string;
  /** Absent: the MLP reads the first norm's output. */
  readonly secondNorm?: string;
  readonly up: string;
  readonly down: string;
  readonly finalNorm?: string;
  readonly head: string;
}

function namesOf(config: Config): Names {
  const dense = {
    attention: 'self_attention',
    output: 'dense',
    fused: 'query_key_value',
    up: 'mlp.dense_h_to_4h',
    down: 'mlp.dense_4h_to_h',
  };
  const bigScience = { embedding: 'transformer.word_embeddings', block: 'transformer.h', finalNorm: 'transformer.ln_f', ...dense };
  switch (config['model_type']) {
    case 'gpt2':
      return {
        embedding: 'transformer.wte',
        block: 'transformer.h',
        attention: 'attn',
        output: 'c_proj',
        fused: 'c_attn',
        firstNorm: 'ln_1',
        secondNorm: 'ln_2',
        up: 'mlp.c_fc',
        down: 'mlp.c_proj',
        finalNorm: 'transformer.ln_f',
        head: 'transformer.wte',
      };
    case 'gpt_neox': {
      const norms = { firstNorm: 'input_layernorm', secondNorm: 'post_attention_layernorm', finalNorm: 'gpt_neox.final_layer_norm' };
      return { ...dense, ...norms, embedding: 'gpt_neox.embed_in', block: 'gpt_neox.layers', attention: 'attention', head: 'embed_out' };
    }
    case 'phi':
      return {
        embedding: 'model.embed_tokens',
        block: 'model.layers',
        attention: 'self_attn',
        output: 'dense',
        firstNorm: 'input_layernorm',
        up: 'mlp.fc1',
        down: 'mlp.fc2',
        finalNorm: 'model.final_layernorm',
        head: 'lm_head',
      };
    case 'bloom':
      return { ...bigScience, firstNorm: 'input_layernorm', secondNorm: 'post_attention_layernorm', head: 'transformer.word_embeddings' };
    case 'falcon': {
      const two = config['new_decoder_architecture'] && config['num_ln_in_parallel_attn'] !== 1;
      const second = two ? { secondNorm: 'ln_mlp' } : config['parallel_attn'] ? {} : { secondNorm: 'post_attention_layernorm' };
      return { ...bigScience, firstNorm: two ? 'ln_attn' : 'input_layernorm', ...second, head: 'transformer.word_embeddings' };
    }
    default:
      return {
        embedding: 'model.decoder.embed_tokens',
        block: 'model.decoder.layers',
        attention: 'self_attn',
        output: 'out_proj',
        firstNorm: 'self_attn_layer_norm',
        secondNorm: 'final_layer_norm',
        up: 'fc1',
        down: 'fc2',
        ...(config['do_layer_norm_before'] ? { finalNorm: 'model.decoder.final_layer_norm' } : {}),
        head: 'model.decoder.embed_tokens',
      };
  }
}

/** The decoders with two-layer MLPs. */
export function plainUngated(config: Config, math: PlainMath, ids: ArrayLike<number>): Vector[] {
  const type: string = config['model_type'];
  const names = namesOf(config);
  const eps = config['layer_norm_eps'] ?? config['layer_norm_epsilon'] ?? 1e-5;
  const activation = type === 'bloom' ? 'gelu_new' : (config['hidden_act'] ?? config['activation_function'] ?? config['activation']);
  const parallel =
    type === 'phi' || (type === 'falcon' && config['parallel_attn']) || (type === 'gpt_neox' && config['use_parallel_residual']);
  const after = type === 'opt' && !config['do_layer_norm_before'];
  const mlp = (x: Vector, prefix: string) =>
    math.linear(
      math.linear(x, `${prefix}.${names.up}`, type === 'gpt2').map(ACTIVATIONS[activation]),
      `${prefix}.${names.down}`,
      type === 'gpt2',
    );

  let hidden = start(config, math, names, ids);
  for (let layer = 0; layer < (config['num_hidden_layers'] ?? config['n_layer']); layer++) {
    const prefix = `${names.block}.${layer}`;
    const norm = (x: Vector, name: string) => math.layer(x, `${prefix}.${name}`, eps);
    const inputs = hidden.map((x) => (after ? x : norm(x, names.firstNorm)));
    const attended = attention(config, math, names, inputs, prefix);
    hidden = hidden.map((x, t) => {
      if (parallel) return plus(x, attended[t], mlp(names.secondNorm ? norm(x, names.secondNorm) : inputs[t], prefix));
      if (after) {
        const middle = norm(plus(x, attended[t]), names.firstNorm);
        return norm(plus(middle, mlp(middle, prefix)), names.secondNorm!);
      }
      const postNorm = config['apply_residual_connection_post_layernorm'];
      const middle = plus(postNorm ? inputs[t] : x, attended[t]);
      const input = norm(middle, names.secondNorm!);
      return plus(postNorm ? input : middle, mlp(input, prefix));
    });
  }
  return hidden.map((x) => {
    const normed = names.finalNorm ? math.layer(x, names.finalNorm, eps) : x;
    const narrow = math.w('model.decoder.project_out.weight') ? math.linear(normed, 'model.decoder.project_out') : normed;
    return math.linear(narrow, names.head);
  });
}

function start(config: Config, math: PlainMath, names: Names, ids: ArrayLike<number>): Vector[] {
  const type = config['model_type'];
  const width = config['word_embed_proj_dim'] ?? config['hidden_size'] ?? config['n_embd'];
  let rows = math.embed(`${names.embedding}.weight`, ids, width);
  if (math.w('model.decoder.project_in.weight')) rows = rows.map((x) => math.linear(x, 'model.decoder.project_in'));
  if (type === 'bloom') return rows.map((x) => math.layer(x, 'transformer.word_embeddings_layernorm', config['layer_norm_epsilon']));
  const places = type === 'gpt2' ? 'transformer.wpe.weight' : type === 'opt' ? 'model.decoder.embed_positions.weight' : undefined;
  if (!places) return rows;
  const positions = Array.from(ids, (_, t) => t + (type === 'opt' ? 2 : 0));
  const learned = math.embed(places, positions, rows[0].length);
  return rows.map((x, t) => plus(x, learned[t]));
}

function attention(config: Config, math: PlainMath, names: Names, inputs: Vector[], prefix: string): Vector[] {
  const type: string = config['model_type'];
  const heads: number = config['num_attention_heads'] ?? config['n_head'];
  const size = inputs[0].length / heads;
  const name = (part: string) => `${prefix}.${names.attention}.${part}`;
  const rope = config['rope_parameters'];
  const speeds = rope && !config['alibi'] ? frequencies(rope, size * (rope.partial_rotary_factor ?? 1)) : undefined;
  const placed = (heads: Vector[][], which: string) =>
    heads.map((parts, t) =>
      parts.map((part) => {
        const normed = math.w(name(`${which}_layernorm.weight`))
          ? math.layer(part, name(`${which}_layernorm`), config['layer_norm_eps'])
          : part;
        return speeds ? turn(normed, t, speeds) : normed;
      }),
    );
  const split = inputs.map((x) => {
    if (!names.fused) return ['q', 'k', 'v'].map((which) => pieces(math.linear(x, name(`${which}_proj`)), size));
    const parts = pieces(math.linear(x, name(names.fused), type === 'gpt2'), size);
    const count =
      type === 'gpt2'
        ? 1
        : type !== 'falcon'
          ? heads
          : config['new_decoder_architecture']
            ? config['num_kv_heads']
            : config['multi_query']
              ? 1
              : heads;
    const kinds: Vector[][] = [[], [], []];
    const perGroup = parts.length / count;
    const keys = type === 'gpt2' ? heads : 1;
    for (const [i, part] of parts.entries()) {
      const at = i % perGroup;
      kinds[at < perGroup - 2 * keys ? 0 : at < perGroup - keys ? 1 : 2].push(part);
    }
    return kinds;
  });
  const alibi = type === 'bloom' || config['alibi'];
  const slopes = alibi
    ? Array.from({ length: heads }, (_, i) => 2 ** (-(i + 1) * (8 / heads)) * (type === 'falcon' ? size ** -0.5 : 1))
    : undefined;
  const mixed = attend(
    placed(
      split.map(([q]) => q),
      'q',
    ),
    placed(
      split.map(([, k]) => k),
      'k',
    ),
    split.map(([, , v]) => v),
    { scale: size ** -0.5, slopes },
  );
  return mixed.map((x) => math.linear(x, name(names.output), type === 'gpt2'));
}
