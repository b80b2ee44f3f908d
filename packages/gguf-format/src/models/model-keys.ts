import { CalibrantError } from '@calibrant/core';
import { type GgufValue, value } from '../file/metadata.js';
import type { GgufArchitecture } from './architectures.js';
import type { ModelConfig } from './model-config.js';

/** The keys `<architecture>.*` that llama.cpp reads a model's sizes from. */
export function modelKeys(architecture: GgufArchitecture, config: ModelConfig): Map<string, GgufValue> {
  const { ropeScaling: scaling } = config;
  const entries: [string, GgufValue][] = [
    ['block_count', value.u32(config.layers)],
    ['context_length', value.u32(config.contextLength)],
    ['embedding_length', value.u32(config.hiddenSize)],
    ['feed_forward_length', value.u32(config.intermediateSize)],
    ['attention.head_count', value.u32(config.heads)],
    ['attention.head_count_kv', value.u32(config.kvHeads)],
    ['rope.freq_base', value.f32(config.ropeTheta)],
    ['attention.layer_norm_rms_epsilon', value.f32(config.rmsNormEps)],
  ];
  if (config.headDimGiven) {
    entries.push(['attention.key_length', value.u32(config.headDim)], ['attention.value_length', value.u32(config.headDim)]);
  }
  entries.push(['vocab_size', value.u32(config.vocabSize)], ['rope.dimension_count', value.u32(config.headDim)]);
  if (config.slidingWindow !== undefined) entries.push(['attention.sliding_window', value.u32(config.slidingWindow)]);
  // Llama 3's scaling travels in a tensor: llama.cpp has no type name for it.
  if (scaling && scaling.type !== 'llama3') {
    entries.push(['rope.scaling.type', value.string(scaling.type)], ['rope.scaling.factor', value.f32(scaling.factor)]);
  }
  if (scaling?.originalContext !== undefined) entries.push(['rope.scaling.original_context_length', value.u32(scaling.originalContext)]);
  return new Map(entries.map(([key, entry]) => [`${architecture.name}.${key}`, entry]));
}

/** Layers without rotation are fixed in llama.cpp: every fourth of SmolLM3. */
export function checkUnrotatedLayers(config: Readonly<Record<string, unknown>>, model: string): void {
  const rotated = config['no_rope_layers'];
  if (config['model_type'] !== 'smollm3' || !Array.isArray(rotated)) return;
  const wrong = rotated.findIndex((rotates, layer) => Boolean(rotates) !== ((layer + 1) % 4 !== 0));
  if (wrong >= 0)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: llama.cpp leaves out the rotation in every fourth layer of SmolLM3, but "no_rope_layers" in config.json says otherwise for layer ${wrong}.`,
    );
}

/** `4.2M`: the parameter count as model names carry it. */
export function sizeLabel(parameters: number): string {
  const [unit, letter] = parameters >= 1e9 ? [1e9, 'B'] : parameters >= 1e6 ? [1e6, 'M'] : [1e3, 'K'];
  const size = parameters / unit;
  return `${size < 10 ? size.toFixed(1) : Math.round(size)}${letter}`;
}
