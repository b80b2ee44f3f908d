import type { ArchitectureDescription, NormStep, Step } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { gatedMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope } from './parts/rope-config.js';
import { readSizes } from './parts/sizes.js';
import { layerNorm } from './parts/steps.js';

/** StableLM: layer norms, a quarter of each head turns; the 12B model norms each head of q and k by weights of its own and computes attention and MLP side by side. */
function describeStableLm(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const sizes = readSizes(config);
  const { hiddenSize, heads, kvHeads, headDim } = sizes;
  const eps = config.positive('layer_norm_eps', 1e-5);
  const parallel = config.flag('use_parallel_residual', false);
  const norm = (input: string, output: string, name: string) => layerNorm({ input, output, name, width: hiddenSize, eps });
  const headNorm = (input: string, output: string, name: string, count: number): NormStep => ({
    op: 'norm',
    kind: 'layer',
    input,
    output,
    weight: {
      name: `${name}.norms`,
      shape: [count * headDim],
      stored: Array.from({ length: count }, (_, head) => ({ name: `${name}.norms.${head}.weight`, shape: [headDim] })),
    },
    eps,
    width: headDim,
  });
  return describeModel({
    name: 'stablelm',
    config,
    sizes,
    rope: { main: readRope(config, headDim, { theta: 10000, partial: 0.25 }) },
    embedding: { name: 'model.embed_tokens.weight' },
    block(layer) {
      const prefix = `model.layers.${layer}`;
      const second: Step[] = parallel ? [] : [norm('middle', 'mlpInput', `${prefix}.post_attention_layernorm`)];
      return [
        norm('hidden', 'attentionInput', `${prefix}.input_layernorm`),
        ...attention({
          prefix: `${prefix}.self_attn`,
          sizes,
          projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'o_proj' },
          bias: { qkv: config.flag('use_qkv_bias', false) },
          ...(config.flag('qk_layernorm', false)
            ? {
                norm: (input, output, which) =>
                  which === 'query'
                    ? headNorm(input, output, `${prefix}.self_attn.q_layernorm`, heads)
                    : headNorm(input, output, `${prefix}.self_attn.k_layernorm`, kvHeads),
              }
            : {}),
          rope: { table: 'main', style: 'half' },
        }),
        { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
        ...second,
        ...gatedMlp({
          prefix: `${prefix}.mlp`,
          hiddenSize,
          intermediateSize: config.size('intermediate_size'),
          kind: activationKind(config),
          input: parallel ? 'attentionInput' : 'mlpInput',
        }),
        { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
      ];
    },
    head: {
      steps: [norm('hidden', 'normed', 'model.norm')],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', false),
    },
  });
}

export const stableLmArchitecture: Architecture = architecture(
  'stablelm',
  'StableLmForCausalLM',
  'StableLM 2 and 3B, partial rotary embedding',
  'https://arxiv.org/abs/2402.17834',
  describeStableLm,
);
