import { type ArchitecturePlugin, defineArchitecture } from '@calibrant/core';
import { z } from 'zod';
import type { ArchitectureDescription } from '../description.js';
import type { ConfigReader } from './config-reader.js';
import { type DecoderTraits, describeDecoder } from './decoder-family.js';

const NO_BIAS = { qkv: false, output: false, mlp: false };

/** Llama 1 to 3 and what shares its graph (SmolLM 2, TinyLlama, Yi, …). */
const LLAMA: DecoderTraits = {
  name: 'llama',
  defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 },
  bias: (config) => {
    const attention = config.flag('attention_bias', false);
    return { qkv: attention, output: attention, mlp: config.flag('mlp_bias', false) };
  },
};

const MISTRAL: DecoderTraits = {
  name: 'mistral',
  defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 },
  bias: () => NO_BIAS,
  window: (config) => config.optionalSize('sliding_window'),
};

const QWEN2: DecoderTraits = {
  name: 'qwen2',
  defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 },
  bias: () => ({ ...NO_BIAS, qkv: true }),
  window: windowOfUpperLayers,
};

const QWEN3: DecoderTraits = {
  name: 'qwen3',
  defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 },
  bias: (config) => {
    const attention = config.flag('attention_bias', false);
    return { ...NO_BIAS, qkv: attention, output: attention };
  },
  headNorms: true,
  window: windowOfUpperLayers,
};

const SMOLLM3: DecoderTraits = {
  name: 'smollm3',
  defaults: { ropeTheta: 2000000, tied: true, eps: 1e-6 },
  bias: (config) => {
    const attention = config.flag('attention_bias', false);
    return { qkv: attention, output: attention, mlp: config.flag('mlp_bias', false) };
  },
  rotates,
  window: (config, layer) => slidingWindow(config, layer, !rotates(config, layer)),
};

/** Qwen: with `use_sliding_window`, layers from `max_window_layers` on slide. */
function windowOfUpperLayers(config: ConfigReader, layer: number): number | undefined {
  return slidingWindow(config, layer, layer >= config.count('max_window_layers', 28));
}

/** The window of a layer that `layer_types` calls sliding, or (without that list) that the architecture's own rule does. */
function slidingWindow(config: ConfigReader, layer: number, slides: boolean): number | undefined {
  if (!config.flag('use_sliding_window', false)) return undefined;
  const types = config.list('layer_types');
  return (types ? types[layer] === 'sliding_attention' : slides) ? config.optionalSize('sliding_window') : undefined;
}

/** SmolLM3's layers without positional embedding (NoPE): 0 in `no_rope_layers`, else every fourth. */
function rotates(config: ConfigReader, layer: number): boolean {
  const listed = config.list('no_rope_layers');
  return listed ? listed[layer] !== 0 : (layer + 1) % config.size('no_rope_layer_interval', 4) !== 0;
}

function plugin(
  traits: DecoderTraits,
  modelTypes: readonly string[],
  description: string,
  source: string,
): ArchitecturePlugin<ArchitectureDescription> {
  return defineArchitecture<ArchitectureDescription>({
    name: traits.name,
    modelTypes,
    meta: { description, source, package: '@calibrant/transformer' },
    options: z.strictObject({}),
    describe: (config) => describeDecoder(traits, config),
  });
}

/** The architectures that this package knows. */
export const architectures: readonly ArchitecturePlugin<ArchitectureDescription>[] = [
  plugin(LLAMA, ['llama', 'LlamaForCausalLM'], 'Llama 1 to 3, SmolLM 2 and their like', 'https://arxiv.org/abs/2407.21783'),
  plugin(MISTRAL, ['mistral', 'MistralForCausalLM'], 'Mistral, with sliding window', 'https://arxiv.org/abs/2310.06825'),
  plugin(QWEN2, ['qwen2', 'Qwen2ForCausalLM'], 'Qwen 2 and 2.5, with biases on q, k and v', 'https://arxiv.org/abs/2412.15115'),
  plugin(QWEN3, ['qwen3', 'Qwen3ForCausalLM'], 'Qwen 3, with q and k norms', 'https://arxiv.org/abs/2505.09388'),
  plugin(SMOLLM3, ['smollm3', 'SmolLM3ForCausalLM'], 'SmolLM 3, some layers without positions', 'https://huggingface.co/blog/smollm3'),
];
