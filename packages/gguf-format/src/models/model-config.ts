import { CalibrantError } from '@calibrant/core';

/** What a GGUF file says about a model, in config.json's terms. */
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
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
  readonly vocabSize: number;
  readonly slidingWindow: number | undefined;
  readonly tied: boolean;
}

export interface RopeScaling {
  readonly type: string;
  readonly factor: number;
  readonly originalContext: number | undefined;
  readonly lowFreqFactor: number | undefined;
  readonly highFreqFactor: number | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads config.json of a Llama-like model, in the older spelling (`rope_theta`, `rope_scaling`) and the newer (`rope_parameters`).
 *
 * @throws CalibrantError `UNSUPPORTED` when a size is missing.
 */
export function readModelConfig(config: Json, model: string): ModelConfig {
  const number = (key: string, fallback?: number): number => {
    const found = config[key] ?? fallback;
    if (typeof found !== 'number')
      throw new CalibrantError(
        'UNSUPPORTED',
        `${model}: config.json must give "${key}" as a number, found ${JSON.stringify(config[key])}.`,
        {
          option: key,
        },
      );
    return found;
  };
  const hiddenSize = number('hidden_size');
  const heads = number('num_attention_heads');
  const headDimGiven = typeof config['head_dim'] === 'number';
  const rope = (config['rope_parameters'] ?? {}) as Json;
  const slidingWindow = config['use_sliding_window'] === false ? undefined : config['sliding_window'];
  return {
    modelType: String(config['model_type']),
    hiddenSize,
    layers: number('num_hidden_layers'),
    heads,
    kvHeads: number('num_key_value_heads', heads),
    headDim: headDimGiven ? number('head_dim') : hiddenSize / heads,
    headDimGiven,
    intermediateSize: number('intermediate_size'),
    contextLength: number('max_position_embeddings'),
    rmsNormEps: number('rms_norm_eps'),
    ropeTheta: typeof rope['rope_theta'] === 'number' ? rope['rope_theta'] : number('rope_theta', 10000),
    ropeScaling: readRopeScaling((config['rope_scaling'] ?? rope) as Json, model),
    vocabSize: number('vocab_size'),
    slidingWindow: typeof slidingWindow === 'number' ? slidingWindow : undefined,
    tied: config['tie_word_embeddings'] === true,
  };
}

const RUNNABLE = ['linear', 'llama3', 'yarn'];

function readRopeScaling(found: Json, model: string): RopeScaling | undefined {
  const type = found['rope_type'] ?? found['type'];
  if (type === undefined || type === 'default') return undefined;
  const optional = (key: string) => (typeof found[key] === 'number' ? found[key] : undefined);
  const factor = optional('factor');
  if (typeof type !== 'string' || !RUNNABLE.includes(type) || factor === undefined)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${model}: the rope scaling ${JSON.stringify(found)} cannot be written to GGUF. Supported: ${RUNNABLE.join(', ')}, each with a factor.`,
    );
  return {
    type,
    factor,
    originalContext: optional('original_max_position_embeddings'),
    lowFreqFactor: optional('low_freq_factor'),
    highFreqFactor: optional('high_freq_factor'),
  };
}
