import type { ArchitectureDescription } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { gatedMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope } from './parts/rope-config.js';
import { readSizes } from './parts/sizes.js';
import { rmsNorm } from './parts/steps.js';

/** OLMo 2: norms behind attention and MLP instead of before them, and RMS norms of the whole of q and k. */
function describeOlmo2(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const sizes = readSizes(config);
  const { hiddenSize, heads, kvHeads, headDim } = sizes;
  const eps = config.positive('rms_norm_eps', 1e-5);
  const bias = config.flag('attention_bias', false);
  const norm = (input: string, output: string, name: string, width = hiddenSize) => rmsNorm({ input, output, name, width, eps });
  return describeModel({
    name: 'olmo2',
    config,
    sizes,
    rope: { main: readRope(config, headDim, { theta: 10000 }) },
    embedding: { name: 'model.embed_tokens.weight' },
    block(layer) {
      const prefix = `model.layers.${layer}`;
      return [
        ...attention({
          prefix: `${prefix}.self_attn`,
          sizes,
          input: 'hidden',
          projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'o_proj' },
          bias: { qkv: bias, output: bias },
          norm: (input, output, which) =>
            which === 'query'
              ? norm(input, output, `${prefix}.self_attn.q_norm`, heads * headDim)
              : norm(input, output, `${prefix}.self_attn.k_norm`, kvHeads * headDim),
          rope: { table: 'main', style: 'half' },
        }),
        norm('attentionProjected', 'attentionNormed', `${prefix}.post_attention_layernorm`),
        { op: 'add', a: 'hidden', b: 'attentionNormed', output: 'mlpInput' },
        ...gatedMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('intermediate_size'),
          kind: activationKind(config),
        }),
        norm('mlpProjected', 'mlpNormed', `${prefix}.post_feedforward_layernorm`),
        { op: 'add', a: 'mlpInput', b: 'mlpNormed', output: 'output' },
      ];
    },
    head: {
      steps: [norm('hidden', 'normed', 'model.norm')],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', false),
    },
  });
}

export const olmo2Architecture: Architecture = architecture(
  'olmo2',
  'Olmo2ForCausalLM',
  'OLMo 2, with norms behind attention and MLP',
  'https://arxiv.org/abs/2501.00656',
  describeOlmo2,
);
