import { describeLlama, type LlamaTraits } from './llama-family.js';
import { qwenMixture } from './mixtures.js';
import type { ConfigReader } from './parts/config-reader.js';
import { type Architecture, architecture } from './parts/plugin.js';

const DEFAULTS = { ropeTheta: 10000, tied: false, eps: 1e-6 };

const QWEN2: LlamaTraits = {
  name: 'qwen2',
  defaults: DEFAULTS,
  bias: () => ({ qkv: true }),
  window: (config, layer) => slidingWindow(config, layer, layer >= config.count('max_window_layers', 28)),
};

const QWEN3: LlamaTraits = {
  name: 'qwen3',
  defaults: DEFAULTS,
  bias(config) {
    const attention = config.flag('attention_bias', false);
    return { qkv: attention, output: attention };
  },
  headNorms: true,
  window: (config, layer) => slidingWindow(config, layer, layer >= config.count('max_window_layers', 28)),
};

const QWEN2_MOE: LlamaTraits = {
  ...QWEN2,
  name: 'qwen2_moe',
  bias: (config) => ({ qkv: config.flag('qkv_bias', true) }),
  window: (config, layer) => slidingWindow(config, layer, layer % 2 === 0 && layer < config.count('max_window_layers', 28)),
  mlp: (config, sizes, layer) => qwenMixture(config, sizes, layer, { experts: 60, perToken: 4, intermediateSize: 1408, shared: 5632 }),
};

const QWEN3_MOE: LlamaTraits = {
  ...QWEN3,
  name: 'qwen3_moe',
  window: (config) => slidingWindow(config, 0, true),
  mlp: (config, sizes, layer) => qwenMixture(config, sizes, layer, { experts: 128, perToken: 8, intermediateSize: 768 }),
};

/** With `use_sliding_window`, the window of a layer that `layer_types` calls sliding, or (without that list) that the architecture's own rule does. */
function slidingWindow(config: ConfigReader, layer: number, slides: boolean): number | undefined {
  if (!config.flag('use_sliding_window', false)) return undefined;
  const types = config.list('layer_types');
  return (types ? types[layer] === 'sliding_attention' : slides) ? config.optionalSize('sliding_window') : undefined;
}

export const qwenArchitectures: readonly Architecture[] = [
  architecture('qwen2', 'Qwen2ForCausalLM', 'Qwen 2 and 2.5, with biases on q, k and v', 'https://arxiv.org/abs/2412.15115', (config) =>
    describeLlama(QWEN2, config),
  ),
  architecture('qwen3', 'Qwen3ForCausalLM', 'Qwen 3, with q and k norms', 'https://arxiv.org/abs/2505.09388', (config) =>
    describeLlama(QWEN3, config),
  ),
  architecture(
    'qwen2_moe',
    'Qwen2MoeForCausalLM',
    'Qwen 1.5 and 2 mixtures with a shared expert',
    'https://arxiv.org/abs/2407.10671',
    (config) => describeLlama(QWEN2_MOE, config),
  ),
  architecture('qwen3_moe', 'Qwen3MoeForCausalLM', 'Qwen 3 mixtures', 'https://arxiv.org/abs/2505.09388', (config) =>
    describeLlama(QWEN3_MOE, config),
  ),
];
