import type { ArchitectureDescription } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { plainMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readSizes } from './parts/sizes.js';
import { layerNorm } from './parts/steps.js';

const ALIASES = {
  hidden_size: 'n_embd',
  num_attention_heads: 'n_head',
  num_hidden_layers: 'n_layer',
  max_position_embeddings: 'n_positions',
};

/** GPT-2: learned positions, layer norms, q, k and v in one projection, and weights stored as `[in, out]`. */
function describeGpt2(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw, { aliases: ALIASES });
  const sizes = readSizes(config, { grouped: false });
  const { hiddenSize, headDim } = sizes;
  const positions = config.size('max_position_embeddings', 1024);
  const eps = config.positive('layer_norm_epsilon', 1e-5);
  const norm = (input: string, output: string, name: string) => layerNorm({ input, output, name, width: hiddenSize, eps });
  const byLayer = config.flag('scale_attn_by_inverse_layer_idx', false);
  const scale = config.flag('scale_attn_weights', true) ? 1 / Math.sqrt(headDim) : 1;
  return describeModel({
    name: 'gpt2',
    config,
    sizes,
    embedding: {
      name: 'transformer.wte.weight',
      steps: [
        {
          op: 'positions',
          input: 'hidden',
          output: 'placed',
          weight: { name: 'transformer.wpe.weight', shape: [positions, hiddenSize] },
        },
      ],
    },
    block(layer) {
      const prefix = `transformer.h.${layer}`;
      return [
        norm('hidden', 'attentionInput', `${prefix}.ln_1`),
        ...attention({
          prefix: `${prefix}.attn`,
          sizes,
          projections: { fused: 'c_attn', groups: 1, output: 'c_proj' },
          bias: { qkv: true, output: true },
          transposed: true,
          attributes: { scale: byLayer ? scale / (layer + 1) : scale },
        }),
        { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
        norm('middle', 'mlpInput', `${prefix}.ln_2`),
        ...plainMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('n_inner', 4 * hiddenSize),
          kind: activationKind(config, 'activation_function', 'gelu_new'),
          projections: { up: 'c_fc', down: 'c_proj' },
          transposed: true,
        }),
        { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
      ];
    },
    head: {
      steps: [norm('hidden', 'normed', 'transformer.ln_f')],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', true),
    },
    otherPrefixes: { 'transformer.': '' },
  });
}

export const gpt2Architecture: Architecture = architecture(
  'gpt2',
  'GPT2LMHeadModel',
  'GPT-2, with learned positions',
  'https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf',
  describeGpt2,
);
