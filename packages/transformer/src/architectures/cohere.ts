import type { ArchitectureDescription, NormStep } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { gatedMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope } from './parts/rope-config.js';
import { readSizes } from './parts/sizes.js';
import { layerNorm } from './parts/steps.js';

/** Command R: attention and MLP side by side on one layer norm without bias, interleaved rotary pairs, scaled logits; Command R+ norms each head of q and k. */
function describeCohere(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const sizes = readSizes(config);
  const { hiddenSize, heads, kvHeads, headDim } = sizes;
  const eps = config.positive('layer_norm_eps', 1e-5);
  const bias = config.flag('attention_bias', false);
  const norm = (input: string, output: string, name: string) => layerNorm({ input, output, name, width: hiddenSize, eps }, { bias: false });
  const headNorm = (input: string, output: string, name: string, count: number): NormStep => ({
    op: 'norm',
    kind: 'layer',
    input,
    output,
    weight: { name: `${name}.weight`, shape: [count * headDim], stored: [{ name: `${name}.weight`, shape: [count, headDim] }] },
    eps,
    width: headDim,
  });
  return describeModel({
    name: 'cohere',
    config,
    sizes,
    rope: { main: readRope(config, headDim, { theta: 500000 }) },
    embedding: { name: 'model.embed_tokens.weight' },
    block(layer) {
      const prefix = `model.layers.${layer}`;
      return [
        norm('hidden', 'attentionInput', `${prefix}.input_layernorm`),
        ...attention({
          prefix: `${prefix}.self_attn`,
          sizes,
          projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'o_proj' },
          bias: { qkv: bias, output: bias },
          ...(config.flag('use_qk_norm', false)
            ? {
                norm: (input, output, which) =>
                  which === 'query'
                    ? headNorm(input, output, `${prefix}.self_attn.q_norm`, heads)
                    : headNorm(input, output, `${prefix}.self_attn.k_norm`, kvHeads),
              }
            : {}),
          rope: { table: 'main', style: 'interleaved' },
        }),
        ...gatedMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('intermediate_size'),
          kind: activationKind(config),
          input: 'attentionInput',
        }),
        { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
        { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
      ];
    },
    head: {
      steps: [norm('hidden', 'normed', 'model.norm')],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', true),
      scale: config.positive('logit_scale', 0.0625),
    },
  });
}

export const cohereArchitecture: Architecture = architecture(
  'cohere',
  'CohereForCausalLM',
  'Command R and R+, parallel attention and MLP',
  'https://docs.cohere.com/docs/command-r',
  describeCohere,
);
