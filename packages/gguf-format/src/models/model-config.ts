import { CalibrantError } from '@calibrant/core';
import type { GgufArchitecture, SizeName } from './architecture.js';
import { type RopeScaling, readRopeScaling } from './rope-scaling.js';

export type Json = Readonly<Record<string, unknown>>;

/** A model's sizes, whatever config.json calls them. */
export interface ModelConfig {
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Whether the config names it; else it is hiddenSize / heads. */
  readonly headDimGiven: boolean;
  readonly intermediateSize: number;
  readonly contextLength: number;
  readonly normEps: number;
  /** Elements of each head that are rotated; 0 without rotary positions. */
  readonly ropeDims: number;
  readonly ropeTheta: number;
  /** The base of layers that slide, where they have one of their own. */
  readonly localRopeTheta: number | undefined;
  readonly ropeScaling: RopeScaling | undefined;
  readonly vocabSize: number;
  readonly slidingWindow: number | undefined;
  readonly tied: boolean;
}

/**
 * Reads config.json, in the older spelling (`rope_theta`, `rope_scaling`) and the newer (`rope_parameters`).
 *
 * @throws CalibrantError `UNSUPPORTED` when a size is missing.
 */
export function readModelConfig(raw: Json, architecture: GgufArchitecture, model: string): ModelConfig {
  const { spelling = {}, defaults = {}, rope } = architecture;
  const number = (names: readonly string[], fallback?: number): number => {
    const name = names.find((candidate) => typeof raw[candidate] === 'number');
    const found = name === undefined ? fallback : (raw[name] as number);
    if (found !== undefined) return found;
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: config.json must give "${names[0]}" as a number, found ${JSON.stringify(raw[names[0]])}.`,
      { option: names[0] },
    );
  };
  const size = (name: SizeName, fallback?: number) => number(spelling[name] ?? [name], fallback ?? defaults[name]);
  const hiddenSize = size('hidden_size');
  const heads = size('num_attention_heads');
  const headDimGiven = typeof raw['head_dim'] === 'number' || defaults['head_dim'] !== undefined;
  const headDim = headDimGiven ? size('head_dim') : hiddenSize / heads;
  const { main, local } = ropeSettings(raw);
  const part = main['partial_rotary_factor'] ?? raw['partial_rotary_factor'] ?? raw[rope?.partName ?? ''] ?? rope?.part ?? 1;
  const theta = main['rope_theta'] ?? raw[rope?.thetaName ?? ''] ?? raw['rope_theta'] ?? rope?.theta;
  const localTheta = local?.['rope_theta'] ?? raw['rope_local_base_freq'] ?? (architecture.name === 'gemma3' ? 10000 : undefined);
  const slidingWindow = raw['use_sliding_window'] === false ? undefined : (raw['sliding_window'] ?? defaults['sliding_window']);
  const tied = raw['tie_word_embeddings'];
  const intermediate = ['gpt2', 'bloom', 'falcon'].includes(architecture.name) ? 4 * hiddenSize : undefined;
  const config: ModelConfig = {
    modelType: String(raw['model_type']),
    hiddenSize,
    layers: size('num_hidden_layers'),
    heads,
    kvHeads: architecture.kvHeads?.(raw, heads) ?? size('num_key_value_heads', defaults['num_key_value_heads'] ?? heads),
    headDim,
    headDimGiven,
    intermediateSize: size('intermediate_size', intermediate),
    contextLength: size('max_position_embeddings'),
    normEps: number([architecture.epsilon.config], usualEpsilon(architecture, String(raw['model_type']))),
    ropeDims: rope ? 2 * Math.floor((headDim * Number(part)) / 2) : 0,
    ropeTheta: Number(theta ?? 0),
    localRopeTheta: localTheta === undefined ? undefined : Number(localTheta),
    ropeScaling: rope ? readRopeScaling((raw['rope_scaling'] ?? main) as Json, raw, model) : undefined,
    vocabSize: size('vocab_size'),
    slidingWindow: typeof slidingWindow === 'number' ? slidingWindow : undefined,
    tied: typeof tied === 'boolean' ? tied : architecture.tiedByDefault === true,
  };
  return config;
}

/** What the config class says where config.json is silent. */
function usualEpsilon({ epsilon: { key, config }, defaults, silent }: GgufArchitecture, modelType: string): number {
  return Number(silent?.[modelType]?.[config] ?? defaults?.[config] ?? (key === 'layer_norm_epsilon' ? 1e-5 : 1e-6));
}

/** Rotary settings in the newer spelling: of all layers, or of those that see all and those that slide. */
function ropeSettings(raw: Json): { main: Json; local?: Json } {
  const rope = (raw['rope_parameters'] ?? {}) as Json;
  const full = rope['full_attention'] as Json | undefined;
  return full ? { main: full, local: (rope['sliding_attention'] ?? {}) as Json } : { main: rope };
}

/** @throws CalibrantError `UNSUPPORTED` when llama.cpp would compute something else than config.json says. */
export function checkRunnable(raw: Json, architecture: GgufArchitecture, config: ModelConfig, model: string): void {
  for (const { field, allowed, because } of architecture.limits ?? []) {
    const found = raw[field] ?? undefined;
    if (allowed.includes(Array.isArray(found) ? JSON.stringify(found) : found)) continue;
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: "${field}" in config.json is ${JSON.stringify(found) ?? 'missing'}, but ${because} for architecture ${architecture.name}.`,
      { option: field },
    );
  }
  if (architecture.head === 'embedding' && !config.tied)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: "tie_word_embeddings" in config.json is false, but llama.cpp takes the head of architecture ${architecture.name} from the embedding.`,
      { option: 'tie_word_embeddings' },
    );
  const { heads, headDim, hiddenSize } = config;
  if (!architecture.ownHeadSize && heads * headDim !== hiddenSize)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: ${heads} heads of ${headDim} in config.json do not make the hidden size ${hiddenSize}, which is all that llama.cpp loads for architecture ${architecture.name}.`,
      { option: 'head_dim' },
    );
  const scaling = config.ropeScaling?.type;
  if ((scaling === 'llama3' || scaling === 'longrope') && !architecture.factorTensors?.includes(scaling))
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: the rope scaling in config.json is "${scaling}", but llama.cpp loads no factors of rotations for architecture ${architecture.name}.`,
      { option: 'rope_scaling' },
    );
  architecture.check?.(config, raw, model);
}
