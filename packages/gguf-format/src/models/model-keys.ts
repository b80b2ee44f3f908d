import { type GgufValue, type Scalar, value } from '../file/metadata.js';
import type { GgufArchitecture } from './architecture.js';
import type { Json, ModelConfig } from './model-config.js';
import { temperature } from './rope-scaling.js';

/** The keys `<architecture>.*` that llama.cpp reads a model's sizes from. */
export function modelKeys(architecture: GgufArchitecture, config: ModelConfig, raw: Json): Map<string, GgufValue> {
  const entries: [string, GgufValue][] = [
    ['block_count', value.u32(config.layers)],
    ['context_length', value.u32(config.contextLength)],
    ['embedding_length', value.u32(config.hiddenSize)],
    ['feed_forward_length', value.u32(config.intermediateSize)],
    ['attention.head_count', value.u32(config.heads)],
    ['attention.head_count_kv', value.u32(config.kvHeads)],
    ...(architecture.rope ? [['rope.freq_base', value.f32(config.ropeTheta)] as [string, GgufValue]] : []),
    [`attention.${architecture.epsilon.key}`, value.f32(config.normEps)],
  ];
  if (config.headDimGiven) {
    entries.push(['attention.key_length', value.u32(config.headDim)], ['attention.value_length', value.u32(config.headDim)]);
  }
  entries.push(['vocab_size', value.u32(config.vocabSize)]);
  if (architecture.rope) entries.push(['rope.dimension_count', value.u32(config.ropeDims)]);
  if (config.localRopeTheta !== undefined) entries.push(['rope.freq_base_swa', value.f32(config.localRopeTheta)]);
  // Zero tells Phi-4 from Phi-3 there.
  const window = config.slidingWindow ?? (architecture.name === 'phi3' ? 0 : undefined);
  if (window !== undefined) entries.push(['attention.sliding_window', value.u32(window)]);
  entries.push(...scalingKeys(config, architecture.name));
  const silent = architecture.silent?.[config.modelType];
  for (const [key, field, type, fallback] of architecture.values ?? []) {
    const found = raw[field] ?? silent?.[field] ?? (key === 'expert_count' ? raw['num_local_experts'] : undefined) ?? fallback;
    if (typeof found === 'number' || typeof found === 'boolean') entries.push([key, { type, value: found as Scalar }]);
  }
  for (const [key, constant] of architecture.constants ?? [])
    if (!entries.some(([written]) => written === key)) entries.push([key, value.string(constant)]);
  return new Map(entries.map(([key, entry]) => [`${architecture.name}.${key}`, entry]));
}

function scalingKeys({ ropeScaling: scaling, contextLength }: ModelConfig, architecture: string): [string, GgufValue][] {
  if (!scaling) return [];
  const entries: [string, GgufValue][] = [];
  const { type, factor, attentionFactor } = scaling;
  // Llama 3's scaling and LongRoPE travel in tensors: llama.cpp has no type name for the first, and takes Phi 3's by its tensors alone.
  if (factor !== undefined && (type === 'linear' || type === 'yarn'))
    entries.push(['rope.scaling.type', value.string(type)], ['rope.scaling.factor', value.f32(factor)]);
  if (type === 'longrope' && architecture !== 'phi3') entries.push(['rope.scaling.type', value.string(type)]);
  // llama.cpp multiplies YaRN's own temperature by it.
  const own = type === 'yarn' ? temperature(factor ?? 1) : 1;
  if (attentionFactor !== undefined) entries.push(['rope.scaling.attn_factor', value.f32(attentionFactor / own)]);
  const original = scaling.originalContext ?? (scaling.type === 'longrope' ? contextLength : undefined);
  if (original !== undefined) entries.push(['rope.scaling.original_context_length', value.u32(original)]);
  return entries;
}

/** `4.2M`: the parameter count as model names carry it. */
export function sizeLabel(parameters: number): string {
  const [unit, letter] = parameters >= 1e9 ? [1e9, 'B'] : parameters >= 1e6 ? [1e6, 'M'] : [1e3, 'K'];
  const size = parameters / unit;
  return `${size < 10 ? size.toFixed(1) : Math.round(size)}${letter}`;
}
