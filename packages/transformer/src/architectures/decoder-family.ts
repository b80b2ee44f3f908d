import { type ActivationKind, CalibrantError } from '@calibrant/core';
import type { ArchitectureDescription, NormStep, Step, WeightRef } from '../description.js';
import { type ConfigReader, readConfig } from './config-reader.js';
import { readRope } from './rope-config.js';

/** What sets one member of the Llama family apart from another. */
export interface DecoderTraits {
  readonly name: string;
  /** Values that the architecture's config class has when config.json is silent. */
  readonly defaults: { readonly ropeTheta: number; readonly tied: boolean; readonly eps: number };
  readonly bias: (config: ConfigReader) => { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** RMS norm of each head of q and k before the rotary embedding. */
  readonly headNorms?: boolean;
  /** The sliding window of a layer; undefined sees all. */
  readonly window?: (config: ConfigReader, layer: number) => number | undefined;
  /** Whether a layer turns q and k by position; true if absent. */
  readonly rotates?: (config: ConfigReader, layer: number) => boolean;
}

const ACTIVATIONS: Readonly<Record<string, ActivationKind>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  relu: 'relu',
};

/** More layers than any model has; a config that says more is broken, and must not keep us busy. */
const MAX_LAYERS = 4096;

/** Describes a decoder of pre-norm attention and a gated MLP, under Hugging Face's tensor names for Llama. */
export function describeDecoder(traits: DecoderTraits, raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  const hiddenSize = config.size('hidden_size');
  const heads = config.size('num_attention_heads');
  const kvHeads = config.size('num_key_value_heads', heads);
  const headDim = config.size('head_dim', Math.floor(hiddenSize / heads));
  if (heads % kvHeads !== 0)
    throw new CalibrantError(
      'CORRUPT_FILE',
      `config.json: num_attention_heads (${heads}) must be a multiple of num_key_value_heads (${kvHeads}).`,
      { file: 'config.json', option: 'num_key_value_heads' },
    );
  const vocabSize = config.size('vocab_size');
  const sizes = { hiddenSize, heads, kvHeads, headDim, intermediateSize: config.size('intermediate_size') };
  const embedding: WeightRef = { name: 'model.embed_tokens.weight', shape: [vocabSize, hiddenSize] };
  const tied = config.flag('tie_word_embeddings', traits.defaults.tied);
  const layers = config.size('num_hidden_layers', undefined, MAX_LAYERS);
  const bosTokenId = config.ids('bos_token_id')[0];
  const maxPositions = config.optionalSize('max_position_embeddings');
  return {
    name: traits.name,
    vocabSize,
    hiddenSize,
    heads,
    kvHeads,
    headDim,
    ...(maxPositions === undefined ? {} : { maxPositions }),
    rope: { main: readRope(config, headDim, traits.defaults.ropeTheta) },
    embedding: { weight: embedding },
    blocks: Array.from({ length: layers }, (_, layer) => blockSteps(traits, config, sizes, layer)),
    head: {
      steps: [rmsNorm(traits, config, 'hidden', 'normed', 'model.norm', hiddenSize)],
      weight: tied ? embedding : { name: 'lm_head.weight', shape: [vocabSize, hiddenSize] },
      tied,
    },
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    eosTokenIds: config.ids('eos_token_id'),
  };
}

interface Sizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
}

function blockSteps(traits: DecoderTraits, config: ConfigReader, sizes: Sizes, layer: number): Step[] {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize } = sizes;
  const prefix = `model.layers.${layer}`;
  const bias = traits.bias(config);
  const norm = (input: string, output: string, name: string, width: number) =>
    rmsNorm(traits, config, input, output, `${prefix}.${name}`, width);
  const linear = (input: string, output: string, name: string, [rows, columns]: [number, number], hasBias: boolean): Step => ({
    op: 'linear',
    input,
    output,
    weight: { name: `${prefix}.${name}.weight`, shape: [rows, columns] },
    ...(hasBias ? { bias: { name: `${prefix}.${name}.bias`, shape: [rows] } } : {}),
  });
  const rotates = traits.rotates?.(config, layer) ?? true;
  const window = traits.window?.(config, layer);

  const steps: Step[] = [
    norm('hidden', 'attentionInput', 'input_layernorm', hiddenSize),
    linear('attentionInput', 'query', 'self_attn.q_proj', [heads * headDim, hiddenSize], bias.qkv),
    linear('attentionInput', 'key', 'self_attn.k_proj', [kvHeads * headDim, hiddenSize], bias.qkv),
    linear('attentionInput', 'value', 'self_attn.v_proj', [kvHeads * headDim, hiddenSize], bias.qkv),
  ];
  let [query, key] = ['query', 'key'];
  if (traits.headNorms) {
    steps.push(norm(query, 'queryNormed', 'self_attn.q_norm', headDim), norm(key, 'keyNormed', 'self_attn.k_norm', headDim));
    [query, key] = ['queryNormed', 'keyNormed'];
  }
  if (rotates) {
    steps.push(
      { op: 'rope', input: query, output: 'queryTurned', table: 'main', headDim, style: 'half' },
      { op: 'rope', input: key, output: 'keyTurned', table: 'main', headDim, style: 'half' },
    );
    [query, key] = ['queryTurned', 'keyTurned'];
  }
  const attributes = { heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim), ...(window === undefined ? {} : { window }) };
  steps.push(
    { op: 'attention', query, key, value: 'value', output: 'attentionOutput', attributes },
    linear('attentionOutput', 'attentionProjected', 'self_attn.o_proj', [hiddenSize, heads * headDim], bias.output),
    { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
    norm('middle', 'mlpInput', 'post_attention_layernorm', hiddenSize),
    linear('mlpInput', 'gate', 'mlp.gate_proj', [intermediateSize, hiddenSize], bias.mlp),
    linear('mlpInput', 'up', 'mlp.up_proj', [intermediateSize, hiddenSize], bias.mlp),
    { op: 'activation', input: 'gate', up: 'up', output: 'mlpHidden', kind: activationKind(config) },
    linear('mlpHidden', 'mlpProjected', 'mlp.down_proj', [hiddenSize, intermediateSize], bias.mlp),
    { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
  );
  return steps;
}

function rmsNorm(traits: DecoderTraits, config: ConfigReader, input: string, output: string, name: string, width: number): NormStep {
  const eps = config.positive('rms_norm_eps', traits.defaults.eps);
  return { op: 'norm', kind: 'rms', input, output, weight: { name: `${name}.weight`, shape: [width] }, eps };
}

function activationKind(config: ConfigReader): ActivationKind {
  const name = config.text('hidden_act', 'silu');
  const kind = ACTIVATIONS[name];
  if (!kind)
    throw new CalibrantError(
      'UNSUPPORTED',
      `config.json: activation "${name}" is not supported. Supported are ${Object.keys(ACTIVATIONS).join(', ')}.`,
      { file: 'config.json', option: 'hidden_act' },
    );
  return kind;
}
