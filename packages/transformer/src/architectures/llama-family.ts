import type { ArchitectureDescription, Step } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { type ConfigReader, readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { gatedMlp } from './parts/mlp.js';
import { readRope } from './parts/rope-config.js';
import { type DecoderSizes, readSizes } from './parts/sizes.js';
import { rmsNorm } from './parts/steps.js';

/** What sets one member of the Llama family apart from another. */
export interface LlamaTraits {
  readonly name: string;
  /** Values that the architecture's config class has when config.json is silent. */
  readonly defaults: { readonly ropeTheta: number; readonly tied: boolean; readonly eps: number };
  readonly bias?: (config: ConfigReader) => { readonly qkv?: boolean; readonly output?: boolean; readonly mlp?: boolean };
  /** RMS norm of each head of q and k before the rotary embedding. */
  readonly headNorms?: boolean;
  /** The sliding window of a layer; undefined sees all. */
  readonly window?: (config: ConfigReader, layer: number) => number | undefined;
  /** Whether a layer turns q and k by position; true if absent. */
  readonly rotates?: (config: ConfigReader, layer: number) => boolean;
  /** Another MLP than the gated one, from `mlpInput` to `mlpProjected`. */
  readonly mlp?: (config: ConfigReader, sizes: DecoderSizes, layer: number) => Step[];
  /** Factors of embeddings, attention scores, residual additions and logits. */
  readonly factors?: (config: ConfigReader) => {
    readonly embedding: number;
    readonly attention: number;
    readonly residual: number;
    readonly logits: number;
  };
}

/** Describes a decoder of pre-norm attention and a gated MLP, under Hugging Face's tensor names for Llama. */
export function describeLlama(traits: LlamaTraits, raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const sizes = readSizes(config);
  const { defaults } = traits;
  const eps = config.positive('rms_norm_eps', defaults.eps);
  const factors = traits.factors?.(config);
  return describeModel({
    name: traits.name,
    config,
    sizes,
    rope: { main: readRope(config, sizes.headDim, { theta: defaults.ropeTheta }) },
    embedding: {
      name: 'model.embed_tokens.weight',
      ...(factors ? { steps: [{ op: 'scale', input: 'hidden', output: 'scaled', scale: factors.embedding }] } : {}),
    },
    block: (layer) => blockSteps(traits, config, sizes, layer),
    head: {
      steps: [rmsNorm({ input: 'hidden', output: 'normed', name: 'model.norm', width: sizes.hiddenSize, eps })],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', defaults.tied),
      ...(factors ? { scale: factors.logits } : {}),
    },
  });
}

function blockSteps(traits: LlamaTraits, config: ConfigReader, sizes: DecoderSizes, layer: number): Step[] {
  const { hiddenSize, headDim } = sizes;
  const prefix = `model.layers.${layer}`;
  const bias = traits.bias?.(config) ?? {};
  const eps = config.positive('rms_norm_eps', traits.defaults.eps);
  const factors = traits.factors?.(config);
  const residual = factors ? { scale: factors.residual } : {};
  const window = traits.window?.(config, layer);
  const norm = (input: string, output: string, name: string, width: number) =>
    rmsNorm({ input, output, name: `${prefix}.${name}`, width, eps });
  const mlp =
    traits.mlp?.(config, sizes, layer) ??
    gatedMlp({
      prefix: `${prefix}.mlp`,
      hiddenSize,
      intermediateSize: config.size('intermediate_size'),
      kind: activationKind(config),
      bias: bias.mlp ?? false,
    });
  return [
    norm('hidden', 'attentionInput', 'input_layernorm', hiddenSize),
    ...attention({
      prefix: `${prefix}.self_attn`,
      sizes,
      projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'o_proj' },
      bias,
      ...(traits.headNorms
        ? { norm: (input, output, which) => norm(input, output, `self_attn.${which === 'query' ? 'q' : 'k'}_norm`, headDim) }
        : {}),
      ...((traits.rotates?.(config, layer) ?? true) ? { rope: { table: 'main', style: 'half' } } : {}),
      attributes: { ...(window === undefined ? {} : { window }), ...(factors ? { scale: factors.attention } : {}) },
    }),
    { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle', ...residual },
    norm('middle', 'mlpInput', 'post_attention_layernorm', hiddenSize),
    ...mlp,
    { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output', ...residual },
  ];
}
