import { type ActivationKind, CalibrantError } from '@calibrant/core';
import type { ArchitectureDescription, OtherPrefixes, RopeDescription, Step } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { type ConfigReader, readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { gatedMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope, readScaling } from './parts/rope-config.js';
import { type DecoderSizes, readSizes } from './parts/sizes.js';
import { rmsNorm } from './parts/steps.js';

/** What sets one generation of Gemma apart from another. */
interface GemmaTraits {
  readonly name: string;
  /** Norms also behind attention and MLP, before their sums. */
  readonly sandwich: boolean;
  /** RMS norm of each head of q and k. */
  readonly headNorms: boolean;
  /** Caps of attention scores and logits where config.json is silent. */
  readonly softcaps: { readonly attention?: number; readonly logits?: number };
  /** Every how many layers one sees all while the others slide; 0 when none slides. */
  readonly pattern: number;
  /** Stands before all tensor names of a text model inside a multimodal one. */
  readonly prefix?: string;
  readonly otherPrefixes?: OtherPrefixes;
}

const GEMMA: GemmaTraits = { name: 'gemma', sandwich: false, headNorms: false, softcaps: {}, pattern: 0 };
const GEMMA2: GemmaTraits = { name: 'gemma2', sandwich: true, headNorms: false, softcaps: { attention: 50, logits: 30 }, pattern: 2 };
const GEMMA3: GemmaTraits = { name: 'gemma3_text', sandwich: true, headNorms: true, softcaps: {}, pattern: 6 };

const GEMMA3_MULTIMODAL: GemmaTraits = {
  ...GEMMA3,
  name: 'gemma3',
  prefix: 'language_model.',
  otherPrefixes: { 'language_model.model.': 'model.language_model.', 'language_model.lm_head.': 'lm_head.' },
};

/** The text model inside a multimodal Gemma 3, whose `text_config` leaves out what the 4B model has in common with its config class. */
function describeGemma3(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const { text_config: text, bos_token_id, eos_token_id, tie_word_embeddings } = raw;
  const common = { vocab_size: 262208, num_attention_heads: 8, num_key_value_heads: 4, max_position_embeddings: 131072 };
  if (typeof text !== 'object' || text === null)
    throw new CalibrantError(
      'CORRUPT_FILE',
      'config.json: a multimodal Gemma 3 must describe its text model in "text_config", found nothing.',
      {
        file: 'config.json',
        option: 'text_config',
      },
    );
  return describeGemma(GEMMA3_MULTIMODAL, { bos_token_id, eos_token_id, tie_word_embeddings, ...common, ...text });
}

/** Gemma: embeddings times sqrt(hiddenSize), RMS norms by 1 + weight, tanh GELU, tied embeddings. */
function describeGemma(traits: GemmaTraits, raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw, { aliases: { sliding_window_pattern: '_sliding_window_pattern' } });
  if (config.flag('use_bidirectional_attention', false))
    throw new CalibrantError(
      'UNSUPPORTED',
      'config.json: use_bidirectional_attention makes an encoder of Gemma; only causal models run here.',
      {
        file: 'config.json',
        option: 'use_bidirectional_attention',
      },
    );
  const sizes = readSizes(config, { headDim: 256 });
  const { prefix = '' } = traits;
  const logitCap = config.nullable('final_logit_softcapping', traits.softcaps.logits);
  const eps = config.positive('rms_norm_eps', 1e-6);
  return describeModel({
    name: traits.name,
    config,
    sizes,
    rope: ropes(traits, config, sizes.headDim),
    embedding: {
      name: `${prefix}model.embed_tokens.weight`,
      steps: [{ op: 'scale', input: 'hidden', output: 'scaled', scale: Math.sqrt(sizes.hiddenSize) }],
    },
    block: (layer) => blockSteps(traits, config, sizes, layer),
    head: {
      steps: [rmsNorm({ input: 'hidden', output: 'normed', name: `${prefix}model.norm`, width: sizes.hiddenSize, eps }, 1)],
      name: `${prefix}lm_head.weight`,
      tied: config.flag('tie_word_embeddings', true),
      ...(logitCap === undefined ? {} : { softcap: logitCap }),
    },
    ...(traits.otherPrefixes ? { otherPrefixes: traits.otherPrefixes } : {}),
  });
}

function blockSteps(traits: GemmaTraits, config: ConfigReader, sizes: DecoderSizes, layer: number): Step[] {
  const { hiddenSize, headDim } = sizes;
  const prefix = `${traits.prefix ?? ''}model.layers.${layer}`;
  const eps = config.positive('rms_norm_eps', 1e-6);
  const slides = isSliding(traits, config, layer);
  const bias = config.flag('attention_bias', false);
  const softcap = config.nullable('attn_logit_softcapping', traits.softcaps.attention);
  const norm = (input: string, output: string, name: string, width = hiddenSize) =>
    rmsNorm({ input, output, name: `${prefix}.${name}`, width, eps }, 1);
  const { sandwich } = traits;
  return [
    norm('hidden', 'attentionInput', 'input_layernorm'),
    ...attention({
      prefix: `${prefix}.self_attn`,
      sizes,
      projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'o_proj' },
      bias: { qkv: bias, output: bias },
      ...(traits.headNorms
        ? { norm: (input, output, which) => norm(input, output, `self_attn.${which === 'query' ? 'q' : 'k'}_norm`, headDim) }
        : {}),
      rope: { table: slides && traits.headNorms ? 'sliding' : 'main', style: 'half' },
      attributes: {
        scale: 1 / Math.sqrt(sandwich ? config.positive('query_pre_attn_scalar', 256) : headDim),
        ...(slides ? { window: config.size('sliding_window', 4096) } : {}),
        ...(softcap === undefined ? {} : { softcap }),
      },
    }),
    ...(sandwich ? [norm('attentionProjected', 'attentionNormed', 'post_attention_layernorm')] : []),
    { op: 'add', a: 'hidden', b: sandwich ? 'attentionNormed' : 'attentionProjected', output: 'middle' },
    norm('middle', 'mlpInput', sandwich ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'),
    ...gatedMlp({ prefix: `${prefix}.mlp`, hiddenSize, intermediateSize: config.size('intermediate_size'), kind: activation(config) }),
    ...(sandwich ? [norm('mlpProjected', 'mlpNormed', 'post_feedforward_layernorm')] : []),
    { op: 'add', a: 'middle', b: sandwich ? 'mlpNormed' : 'mlpProjected', output: 'output' },
  ];
}

/** Early configs name the exact GELU, but the models were trained with its tanh form. */
function activation(config: ConfigReader): ActivationKind {
  const kind = activationKind(config, config.has('hidden_activation') ? 'hidden_activation' : 'hidden_act', 'gelu_pytorch_tanh');
  return kind === 'gelu' ? 'geluTanh' : kind;
}

function isSliding({ pattern }: GemmaTraits, config: ConfigReader, layer: number): boolean {
  if (pattern === 0) return false;
  const types = config.list('layer_types');
  return types ? types[layer] === 'sliding_attention' : (layer + 1) % config.size('sliding_window_pattern', pattern) !== 0;
}

/** Gemma 3 turns sliding layers by a table of their own, which no scaling touches in the old spelling. */
function ropes(traits: GemmaTraits, config: ConfigReader, headDim: number): Record<string, RopeDescription> {
  if (!traits.headNorms) return { main: readRope(config, headDim, { theta: 10000 }) };
  const parameters = config.object('rope_parameters');
  const of = (type: string, oldKey: string, theta: number, scaling?: ConfigReader): RopeDescription => {
    const own = parameters?.object(type);
    return {
      theta: own?.has('rope_theta') ? own.positive('rope_theta') : config.positive(oldKey, theta),
      dimensions: headDim,
      scaling: readScaling(own ?? scaling, config, headDim),
    };
  };
  return {
    main: of('full_attention', 'rope_theta', 1000000, config.object('rope_scaling')),
    sliding: of('sliding_attention', 'rope_local_base_freq', 10000),
  };
}

export const gemmaArchitectures: readonly Architecture[] = [
  architecture('gemma', 'GemmaForCausalLM', 'Gemma 1', 'https://arxiv.org/abs/2403.08295', (config) => describeGemma(GEMMA, config)),
  architecture('gemma2', 'Gemma2ForCausalLM', 'Gemma 2, with soft caps and sliding layers', 'https://arxiv.org/abs/2408.00118', (config) =>
    describeGemma(GEMMA2, config),
  ),
  architecture('gemma3_text', 'Gemma3ForCausalLM', 'Gemma 3, text models', 'https://arxiv.org/abs/2503.19786', (config) =>
    describeGemma(GEMMA3, config),
  ),
  architecture(
    'gemma3',
    'Gemma3ForConditionalGeneration',
    'Gemma 3, the text model of multimodal ones',
    'https://arxiv.org/abs/2503.19786',
    describeGemma3,
  ),
];
