import type { ArchitectureDescription } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { gatedMlp, plainMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope } from './parts/rope-config.js';
import { readSizes } from './parts/sizes.js';
import { layerNorm, rmsNorm } from './parts/steps.js';

/** Phi 1 to 2: attention and MLP side by side on one layer norm, biases everywhere, half of each head turns. */
function describePhi(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const sizes = readSizes(config);
  const { hiddenSize, headDim } = sizes;
  const eps = config.positive('layer_norm_eps', 1e-5);
  const tied = config.flag('tie_word_embeddings', false);
  const norm = (input: string, output: string, name: string, width = hiddenSize) => layerNorm({ input, output, name, width, eps });
  return describeModel({
    name: 'phi',
    config,
    sizes,
    rope: { main: readRope(config, headDim, { theta: 10000, partial: 0.5 }) },
    embedding: { name: 'model.embed_tokens.weight' },
    block(layer) {
      const prefix = `model.layers.${layer}`;
      return [
        norm('hidden', 'attentionInput', `${prefix}.input_layernorm`),
        ...attention({
          prefix: `${prefix}.self_attn`,
          sizes,
          projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'dense' },
          bias: { qkv: true, output: true },
          ...(config.flag('qk_layernorm', false)
            ? {
                norm: (input, output, which) =>
                  norm(input, output, `${prefix}.self_attn.${which === 'query' ? 'q' : 'k'}_layernorm`, headDim),
              }
            : {}),
          rope: { table: 'main', style: 'half' },
        }),
        ...plainMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('intermediate_size'),
          kind: activationKind(config, 'hidden_act', 'gelu_new'),
          input: 'attentionInput',
          projections: { up: 'fc1', down: 'fc2' },
        }),
        { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
        { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
      ];
    },
    head: { steps: [norm('hidden', 'normed', 'model.final_layernorm')], name: 'lm_head.weight', tied, bias: 'lm_head.bias' },
  });
}

/** Phi 3 and 4: Llama's graph with q, k and v in one projection and gate and up in another, long-context rotary factors, in Phi-4-mini on a part of each head. */
function describePhi3(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const sizes = readSizes(config);
  const { hiddenSize, headDim } = sizes;
  const eps = config.positive('rms_norm_eps', 1e-5);
  const window = config.optionalSize('sliding_window');
  const norm = (input: string, output: string, name: string) => rmsNorm({ input, output, name, width: hiddenSize, eps });
  return describeModel({
    name: 'phi3',
    config,
    sizes,
    rope: { main: readRope(config, headDim, { theta: 10000 }) },
    embedding: { name: 'model.embed_tokens.weight' },
    block(layer) {
      const prefix = `model.layers.${layer}`;
      return [
        norm('hidden', 'attentionInput', `${prefix}.input_layernorm`),
        ...attention({
          prefix: `${prefix}.self_attn`,
          sizes,
          projections: { fused: 'qkv_proj', groups: 1, output: 'o_proj' },
          rope: { table: 'main', style: 'half' },
          ...(window === undefined ? {} : { attributes: { window } }),
        }),
        { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
        norm('middle', 'mlpInput', `${prefix}.post_attention_layernorm`),
        ...gatedMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('intermediate_size'),
          kind: activationKind(config),
          projections: { fused: 'gate_up_proj', down: 'down_proj' },
        }),
        { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
      ];
    },
    head: { steps: [norm('hidden', 'normed', 'model.norm')], name: 'lm_head.weight', tied: config.flag('tie_word_embeddings', false) },
  });
}

export const phiArchitectures: readonly Architecture[] = [
  architecture('phi', 'PhiForCausalLM', 'Phi 1, 1.5 and 2', 'https://arxiv.org/abs/2309.05463', describePhi),
  architecture('phi3', 'Phi3ForCausalLM', 'Phi 3, 3.5 and 4 (text)', 'https://arxiv.org/abs/2404.14219', describePhi3),
];
