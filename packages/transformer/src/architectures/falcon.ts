import type { ArchitectureDescription, Step } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { alibiSlopes } from './parts/alibi-slopes.js';
import { attention } from './parts/attention.js';
import { type ConfigReader, readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { plainMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { readRope } from './parts/rope-config.js';
import { type DecoderSizes, readSizes } from './parts/sizes.js';
import { layerNorm } from './parts/steps.js';

const ALIASES = { hidden_size: 'n_embed', num_attention_heads: 'n_head', num_hidden_layers: 'n_layer', num_kv_heads: 'n_head_kv' };

/**
 * Falcon: q, k and v of each group of heads side by side in one projection. One group in Falcon 7B (multi-query), several in the decoder of 40B and 11B, one
 * per head in Falcon RW, which uses ALiBi and computes attention and MLP one after the other.
 */
function describeFalcon(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw, { aliases: ALIASES });
  const sizes = readFalconSizes(config);
  const { hiddenSize, heads, headDim } = sizes;
  const alibi = config.flag('alibi', false);
  const eps = config.positive('layer_norm_epsilon', 1e-5);
  return describeModel({
    name: 'falcon',
    config,
    sizes,
    ...(alibi
      ? // Falcon adds ALiBi before it scales the scores. (transformers rounds it to bf16 besides; here it is exact.)
        { alibi: alibiSlopes(heads).map((slope) => slope / Math.sqrt(headDim)) }
      : { rope: { main: readRope(config, headDim, { theta: 10000 }) } }),
    embedding: { name: 'transformer.word_embeddings.weight' },
    block: (layer) => blockSteps(config, sizes, layer),
    head: {
      steps: [layerNorm({ input: 'hidden', output: 'normed', name: 'transformer.ln_f', width: hiddenSize, eps })],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', true),
    },
    otherPrefixes: { 'transformer.': '' },
  });
}

function readFalconSizes(config: ConfigReader): DecoderSizes {
  const sizes = readSizes(config, { grouped: false });
  if (config.flag('new_decoder_architecture', false)) return { ...sizes, kvHeads: config.size('num_kv_heads', sizes.heads) };
  return config.flag('multi_query', true) ? { ...sizes, kvHeads: 1 } : sizes;
}

function blockSteps(config: ConfigReader, sizes: DecoderSizes, layer: number): Step[] {
  const { hiddenSize, kvHeads } = sizes;
  const prefix = `transformer.h.${layer}`;
  const bias = config.flag('bias', false);
  const eps = config.positive('layer_norm_epsilon', 1e-5);
  const newDecoder = config.flag('new_decoder_architecture', false);
  const parallel = newDecoder || config.flag('parallel_attn', true);
  const ownNorms = newDecoder && config.size('num_ln_in_parallel_attn', 2) === 2;
  const norm = (input: string, output: string, name: string) =>
    layerNorm({ input, output, name: `${prefix}.${name}`, width: hiddenSize, eps });
  const mlpNorm: Step[] = ownNorms
    ? [norm('hidden', 'mlpInput', 'ln_mlp')]
    : parallel
      ? []
      : [norm('middle', 'mlpInput', 'post_attention_layernorm')];
  return [
    norm('hidden', 'attentionInput', ownNorms ? 'ln_attn' : 'input_layernorm'),
    ...attention({
      prefix: `${prefix}.self_attention`,
      sizes,
      projections: { fused: 'query_key_value', groups: kvHeads, output: 'dense' },
      bias: { qkv: bias, output: bias },
      ...(config.flag('alibi', false) ? { alibi: true } : { rope: { table: 'main', style: 'half' } }),
    }),
    { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
    ...mlpNorm,
    ...plainMlp({
      prefix: `${prefix}.mlp`,
      hiddenSize,
      intermediateSize: config.size('ffn_hidden_size', 4 * hiddenSize),
      kind: activationKind(config, 'activation', 'gelu'),
      bias,
      input: parallel && !ownNorms ? 'attentionInput' : 'mlpInput',
      projections: { up: 'dense_h_to_4h', down: 'dense_4h_to_h' },
    }),
    { op: 'add', a: 'middle', b: 'mlpProjected', output: 'output' },
  ];
}

export const falconArchitecture: Architecture = architecture(
  'falcon',
  'FalconForCausalLM',
  'Falcon 7B, 40B, 11B and RW',
  'https://arxiv.org/abs/2311.16867',
  describeFalcon,
);
