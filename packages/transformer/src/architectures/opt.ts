import { CalibrantError } from '@calibrant/core';
import type { ArchitectureDescription, Step } from '../description.js';
import { activationKind } from './parts/activation-name.js';
import { attention } from './parts/attention.js';
import { type ConfigReader, readConfig } from './parts/config-reader.js';
import { describeModel } from './parts/describe-model.js';
import { plainMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import { type DecoderSizes, readSizes } from './parts/sizes.js';
import { layerNorm, linear } from './parts/steps.js';

/** Rows at the start of OPT's table of positions that no position uses. */
const SKIPPED_POSITIONS = 2;

/** PyTorch's default, which OPT does not change. */
const EPS = 1e-5;

/** OPT: learned positions, layer norms before attention and MLP (behind them in the 350M model, whose embeddings are also narrower than its blocks). */
function describeOpt(raw: Readonly<Record<string, unknown>>): ArchitectureDescription {
  const config = readConfig(raw);
  if (!config.flag('layer_norm_elementwise_affine', true))
    throw new CalibrantError(
      'UNSUPPORTED',
      'config.json: OPT without weights of its layer norms (layer_norm_elementwise_affine) is not supported.',
      {
        file: 'config.json',
        option: 'layer_norm_elementwise_affine',
      },
    );
  const sizes = readSizes(config, { grouped: false });
  const { hiddenSize } = sizes;
  const width = config.size('word_embed_proj_dim', hiddenSize);
  const before = config.flag('do_layer_norm_before', true);
  const project = (input: string, output: string, name: string, shape: [number, number]): Step[] =>
    width === hiddenSize ? [] : [linear({ input, output, name: `model.decoder.${name}`, shape })];
  const lastNorm = before && !config.flag('_remove_final_layer_norm', false);
  const finalNorm: Step[] = lastNorm
    ? [layerNorm({ input: 'hidden', output: 'normed', name: 'model.decoder.final_layer_norm', width: hiddenSize, eps: EPS })]
    : [];
  return describeModel({
    name: 'opt',
    config,
    sizes,
    embedding: {
      name: 'model.decoder.embed_tokens.weight',
      width,
      steps: [
        ...project('hidden', 'projected', 'project_in', [hiddenSize, width]),
        positions(config, width === hiddenSize ? 'hidden' : 'projected', hiddenSize),
      ],
    },
    block: (layer) => blockSteps(config, sizes, before, layer),
    head: {
      steps: [...finalNorm, ...project(lastNorm ? 'normed' : 'hidden', 'narrowed', 'project_out', [width, hiddenSize])],
      name: 'lm_head.weight',
      tied: config.flag('tie_word_embeddings', true),
    },
    otherPrefixes: { 'model.': '' },
  });
}

function positions(config: ConfigReader, input: string, hiddenSize: number): Step {
  const count = config.size('max_position_embeddings', 2048);
  const name = 'model.decoder.embed_positions.weight';
  const stored = [{ name, shape: [count + SKIPPED_POSITIONS, hiddenSize], skipRows: SKIPPED_POSITIONS }];
  return { op: 'positions', input, output: 'placed', weight: { name, shape: [count, hiddenSize], stored } };
}

function blockSteps(config: ConfigReader, sizes: DecoderSizes, before: boolean, layer: number): Step[] {
  const { hiddenSize } = sizes;
  const prefix = `model.decoder.layers.${layer}`;
  const bias = config.flag('enable_bias', true);
  const norm = (input: string, output: string, name: string): Step =>
    layerNorm({ input, output, name: `${prefix}.${name}`, width: hiddenSize, eps: EPS });
  const attentionNorm = before
    ? norm('hidden', 'attentionInput', 'self_attn_layer_norm')
    : norm('middle', 'mlpInput', 'self_attn_layer_norm');
  const mlpNorm = before ? norm('middle', 'mlpInput', 'final_layer_norm') : norm('sum', 'output', 'final_layer_norm');
  return [
    ...(before ? [attentionNorm] : []),
    ...attention({
      prefix: `${prefix}.self_attn`,
      sizes,
      input: before ? 'attentionInput' : 'hidden',
      projections: { query: 'q_proj', key: 'k_proj', value: 'v_proj', output: 'out_proj' },
      bias: { qkv: bias, output: bias },
    }),
    { op: 'add', a: 'hidden', b: 'attentionProjected', output: 'middle' },
    before ? mlpNorm : attentionNorm,
    ...plainMlp({
      prefix,
      hiddenSize,
      intermediateSize: config.size('ffn_dim'),
      kind: activationKind(config, 'activation_function', 'relu'),
      bias,
      projections: { up: 'fc1', down: 'fc2' },
    }),
    { op: 'add', a: before ? 'middle' : 'mlpInput', b: 'mlpProjected', output: before ? 'output' : 'sum' },
    ...(before ? [] : [mlpNorm]),
  ];
}

export const optArchitecture: Architecture = architecture(
  'opt',
  'OPTForCausalLM',
  'OPT, with learned positions',
  'https://arxiv.org/abs/2205.01068',
  describeOpt,
);
