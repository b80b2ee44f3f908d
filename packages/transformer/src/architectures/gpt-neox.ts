import type { ArchitectureDescription } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { plainMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope } from './parts/rope-config.js';
import { readSizes } from './parts/sizes.js';
import { layerNorm } from './parts/steps.js';

/** GPT-NeoX and Pythia: q, k and v of each head side by side in one projection, a part of each head turns, attention and MLP side by side on norms of their own. */
function describeGptNeoX(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw, { aliases: { rope_theta: 'rotary_emb_base', partial_rotary_factor: 'rotary_pct' } });
  const sizes = readSizes(config, { grouped: false });
  const { hiddenSize, heads, headDim } = sizes;
  const eps = config.positive('layer_norm_eps', 1e-5);
  const bias = config.flag('attention_bias', true);
  const parallel = config.flag('use_parallel_residual', true);
  const norm = (input: string, output: string, name: string) => layerNorm({ input, output, name, width: hiddenSize, eps });
  return describeModel({
    name: 'gpt_neox',
    config,
    sizes,
    rope: { main: readRope(config, headDim, { theta: 10000, partial: 0.25 }) },
    embedding: { name: 'gpt_neox.embed_in.weight' },
    block(layer) {
      const prefix = `gpt_neox.layers.${layer}`;
      return [
        norm('hidden', 'attentionInput', `${prefix}.input_layernorm`),
        ...attention({
          prefix: `${prefix}.attention`,
          sizes,
          projections: { fused: 'query_key_value', groups: heads, output: 'dense' },
          bias: { qkv: bias, output: bias },
          rope: { table: 'main', style: 'half' },
        }),
        { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
        norm(parallel ? 'hidden' : 'middle', 'mlpInput', `${prefix}.post_attention_layernorm`),
        ...plainMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('intermediate_size'),
          kind: activationKind(config, 'hidden_act', 'gelu'),
          projections: { up: 'dense_h_to_4h', down: 'dense_4h_to_h' },
        }),
        { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
      ];
    },
    head: {
      steps: [norm('hidden', 'normed', 'gpt_neox.final_layer_norm')],
      name: 'embed_out.weight',
      tied: config.flag('tie_word_embeddings', false),
    },
  });
}

export const gptNeoXArchitecture: Architecture = architecture(
  'gpt_neox',
  'GPTNeoXForCausalLM',
  'GPT-NeoX and Pythia',
  'https://arxiv.org/abs/2204.06745',
  describeGptNeoX,
);
