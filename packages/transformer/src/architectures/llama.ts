import { describeLlama, type LlamaTraits } from './llama-family.js';
import type { ConfigReader } from './parts/config-reader.js';
import { type Architecture, architecture } from './parts/plugin.js';

const biases = (config: ConfigReader) => {
  const attention = config.flag('attention_bias', false);
  return { qkv: attention, output: attention, mlp: config.flag('mlp_bias', false) };
};

/** Llama 1 to 3 and what shares its graph (SmolLM 2, TinyLlama, Yi, …). */
const LLAMA: LlamaTraits = { name: 'llama', defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 }, bias: biases };

const MISTRAL: LlamaTraits = {
  name: 'mistral',
  defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 },
  window: (config) => config.optionalSize('sliding_window'),
};

const SMOLLM3: LlamaTraits = {
  name: 'smollm3',
  defaults: { ropeTheta: 2000000, tied: true, eps: 1e-6 },
  bias: biases,
  rotates,
  window(config, layer) {
    if (!config.flag('use_sliding_window', false)) return undefined;
    const types = config.list('layer_types');
    return (types ? types[layer] === 'sliding_attention' : !rotates(config, layer)) ? config.optionalSize('sliding_window') : undefined;
  },
};

/** SmolLM3's layers without positional embedding (NoPE): 0 in `no_rope_layers`, else every fourth. */
function rotates(config: ConfigReader, layer: number): boolean {
  const listed = config.list('no_rope_layers');
  return listed ? listed[layer] !== 0 : (layer + 1) % config.size('no_rope_layer_interval', 4) !== 0;
}

const GRANITE: LlamaTraits = {
  name: 'granite',
  defaults: { ropeTheta: 10000, tied: false, eps: 1e-6 },
  bias: biases,
  factors: (config) => ({
    embedding: config.positive('embedding_multiplier', 1),
    attention: config.positive('attention_multiplier', 1),
    residual: config.positive('residual_multiplier', 1),
    logits: 1 / config.positive('logits_scaling', 1),
  }),
};

export const llamaArchitectures: readonly Architecture[] = [
  architecture('llama', 'LlamaForCausalLM', 'Llama 1 to 3, SmolLM 2 and their like', 'https://arxiv.org/abs/2407.21783', (config) =>
    describeLlama(LLAMA, config),
  ),
  architecture('mistral', 'MistralForCausalLM', 'Mistral, with sliding window', 'https://arxiv.org/abs/2310.06825', (config) =>
    describeLlama(MISTRAL, config),
  ),
  architecture(
    'smollm3',
    'SmolLM3ForCausalLM',
    'SmolLM 3, some layers without positions',
    'https://huggingface.co/blog/smollm3',
    (config) => describeLlama(SMOLLM3, config),
  ),
  architecture('granite', 'GraniteForCausalLM', 'Granite 3, with multipliers', 'https://arxiv.org/abs/2408.13359', (config) =>
    describeLlama(GRANITE, config),
  ),
];
