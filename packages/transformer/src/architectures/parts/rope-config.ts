import { CalibrantError } from '@calibrant/core';
import type { RopeDescription, RopeScaling } from '../../description.js';
import type { ConfigReader } from './config-reader.js';

/** What the architecture's config class says where config.json is silent. */
export interface RopeDefaults {
  readonly theta: number;
  /** The part of each head that turns; all if absent. */
  readonly partial?: number;
}

/**
 * Reads the rotary embedding from config.json, in the old spelling (`rope_theta`, `rope_scaling` with `type` or `rope_type`) or the
 * new one (`rope_parameters`).
 *
 * @throws CalibrantError `UNSUPPORTED` for kinds of scaling that this package does not know.
 */
export function readRope(config: ConfigReader, headDim: number, { theta, partial = 1 }: RopeDefaults): RopeDescription {
  const parameters = config.object('rope_parameters');
  const turning = (parameters?.has('partial_rotary_factor') ? parameters : config).positive('partial_rotary_factor', partial);
  const dimensions = Math.floor(Math.floor(headDim * turning) / 2) * 2;
  return {
    theta: parameters?.has('rope_theta') ? parameters.positive('rope_theta') : config.positive('rope_theta', theta),
    dimensions,
    scaling: readScaling(parameters ?? config.object('rope_scaling'), config, dimensions),
  };
}

/** Reads one kind of rotary scaling. */
export function readScaling(scaling: ConfigReader | undefined, config: ConfigReader, dimensions: number): RopeScaling {
  const kind = scaling?.text('rope_type', scaling.text('type', 'default'));
  if (scaling === undefined || kind === 'default') return { kind: 'none' };
  switch (kind) {
    case 'linear':
      return { kind: 'linear', factor: scaling.positive('factor') };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: scaling.positive('factor'),
        lowFrequencyFactor: scaling.positive('low_freq_factor'),
        highFrequencyFactor: scaling.positive('high_freq_factor'),
        originalMaxPositions: scaling.size('original_max_position_embeddings'),
      };
    case 'dynamic':
      return { kind: 'dynamic', maxPositions: config.size('max_position_embeddings') };
    case 'yarn':
      // Phi-3 once called its own scaling by this name; only LongRoPE has lists of factors.
      return scaling.has('short_factor') ? longrope(scaling, config, dimensions) : yarn(scaling, config);
    case 'longrope':
    case 'su':
      return longrope(scaling, config, dimensions);
    default:
      throw new CalibrantError(
        'UNSUPPORTED',
        `config.json: rotary scaling "${kind}" is not supported. Supported are default, linear, llama3, dynamic, yarn and longrope.`,
        { file: 'config.json', option: 'rope_scaling' },
      );
  }
}

/** The length before the extension. Phi-3 writes it beside the scaling, which then counts. */
function originalLength(scaling: ConfigReader, config: ConfigReader): number {
  const key = 'original_max_position_embeddings';
  return (config.has(key) ? config : scaling).size(key, config.optionalSize('max_position_embeddings'));
}

/** The factor of the extension, from the lengths where it is not written. */
function extension(scaling: ConfigReader, config: ConfigReader, original: number): number {
  return scaling.positive('factor', config.size('max_position_embeddings', original) / original);
}

/** YaRN's `0.1 · ln(factor) + 1` (arXiv 2309.00071, equation 22), or DeepSeek's quotient of two such factors. */
function yarn(scaling: ConfigReader, config: ConfigReader): RopeScaling {
  const originalMaxPositions = originalLength(scaling, config);
  const factor = extension(scaling, config, originalMaxPositions);
  const temperature = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const both = scaling.has('mscale') && scaling.has('mscale_all_dim');
  return {
    kind: 'yarn',
    factor,
    betaFast: scaling.positive('beta_fast', 32),
    betaSlow: scaling.positive('beta_slow', 1),
    originalMaxPositions,
    attentionFactor: scaling.positive(
      'attention_factor',
      both ? temperature(scaling.positive('mscale')) / temperature(scaling.positive('mscale_all_dim')) : temperature(1),
    ),
    truncate: scaling.flag('truncate', true),
  };
}

/** Attention factor `sqrt(1 + ln(factor) / ln(original length))` (arXiv 2402.13753). */
function longrope(scaling: ConfigReader, config: ConfigReader, dimensions: number): RopeScaling {
  const originalMaxPositions = originalLength(scaling, config);
  const factor = extension(scaling, config, originalMaxPositions);
  return {
    kind: 'longrope',
    shortFactors: factors(scaling, 'short_factor', dimensions),
    longFactors: factors(scaling, 'long_factor', dimensions),
    originalMaxPositions,
    attentionFactor: scaling.positive(
      'attention_factor',
      factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions)),
    ),
  };
}

function factors(scaling: ConfigReader, key: string, dimensions: number): number[] {
  const found = scaling.list(key) ?? [];
  if (found.length !== dimensions / 2 || !found.every((factor) => typeof factor === 'number' && factor > 0))
    throw new CalibrantError(
      'CORRUPT_FILE',
      `config.json: "${key}" of the rotary scaling must list ${dimensions / 2} numbers above 0, one for each pair of dimensions, found ${found.length} values.`,
      { file: 'config.json', option: key },
    );
  return found as number[];
}
