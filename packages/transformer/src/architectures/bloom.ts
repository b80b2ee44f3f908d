import type { ArchitectureDescription } from '../description.js';
import { alibiSlopes } from './parts/alibi-slopes.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { plainMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readSizes } from './parts/sizes.js';
import { layerNorm } from './parts/steps.js';

/** Bloom: ALiBi, a norm of the embeddings, and q, k and v of each head side by side in one projection. */
function describeBloom(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const aliases = { hidden_size: 'n_embed', num_attention_heads: 'n_head', num_hidden_layers: 'n_layer' };
  const config = readConfig(raw, { aliases });
  const sizes = readSizes(config, { grouped: false });
  const { hiddenSize, heads } = sizes;
  const eps = config.positive('layer_norm_epsilon', 1e-5);
  const afterNorm = config.flag('apply_residual_connection_post_layernorm', false);
  const norm = (input: string, output: string, name: string) => layerNorm({ input, output, name, width: hiddenSize, eps });
  return describeModel({
    name: 'bloom',
    config,
    sizes,
    alibi: alibiSlopes(heads),
    embedding: {
      name: 'transformer.word_embeddings.weight',
      steps: [norm('hidden', 'normed', 'transformer.word_embeddings_layernorm')],
    },
    block(layer) {
      const prefix = `transformer.h.${layer}`;
      return [
        norm('hidden', 'attentionInput', `${prefix}.input_layernorm`),
        ...attention({
          prefix: `${prefix}.self_attention`,
          sizes,
          projections: { fused: 'query_key_value', groups: heads, output: 'dense' },
          bias: { qkv: true, output: true },
          alibi: true,
        }),
        { op: 'add', a: afterNorm ? 'attentionInput' : 'hidden', b: 'attentionProjected', output: 'middle' },
        norm('middle', 'mlpInput', `${prefix}.post_attention_layernorm`),
        ...plainMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: 4 * hiddenSize,
          kind: 'geluTanh',
          projections: { up: 'dense_h_to_4h', down: 'dense_4h_to_h' },
        }),
        { op: 'add', a: afterNorm ? 'mlpInput' : 'middle', b: 'mlpProjected', output: 'output' },
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

export const bloomArchitecture: Architecture = architecture(
  'bloom',
  'BloomForCausalLM',
  'Bloom, with ALiBi',
  'https://arxiv.org/abs/2211.05100',
  describeBloom,
);
