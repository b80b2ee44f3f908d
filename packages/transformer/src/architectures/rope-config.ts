import { CalibrantError } from '@calibrant/core';
import type { RopeDescription, RopeScaling } from '../description.js';
import type { ConfigReader } from './config-reader.js';

/**
 * Reads the rotary embedding from config.json, in the old spelling (`rope_theta`, `rope_scaling` with `type` or `rope_type`) or the
 * new one (`rope_parameters`).
 *
 * @throws CalibrantError `UNSUPPORTED` for kinds of scaling that this package does not know.
 */
export function readRope(config: ConfigReader, headDim: number, defaultTheta: number): RopeDescription {
  const parameters = config.object('rope_parameters');
  const theta = parameters?.has('rope_theta') ? parameters.positive('rope_theta') : config.positive('rope_theta', defaultTheta);
  const factor = (parameters?.has('partial_rotary_factor') ? parameters : config).positive('partial_rotary_factor', 1);
  return {
    theta,
    dimensions: Math.floor(Math.floor(headDim * factor) / 2) * 2,
    scaling: readScaling(parameters ?? config.object('rope_scaling'), config),
  };
}

function readScaling(scaling: ConfigReader | undefined, config: ConfigReader): RopeScaling {
  const kind = scaling?.text('rope_type', scaling.text('type', 'default'));
  switch (kind) {
    case undefined:
    case 'default':
      return { kind: 'none' };
    case 'linear':
      return { kind: 'linear', factor: scaling!.positive('factor') };
    case 'llama3':
      return {
        kind: 'llama3',
        factor: scaling!.positive('factor'),
        lowFrequencyFactor: scaling!.positive('low_freq_factor'),
        highFrequencyFactor: scaling!.positive('high_freq_factor'),
        originalMaxPositions: scaling!.size('original_max_position_embeddings'),
      };
    case 'dynamic':
      return { kind: 'dynamic', maxPositions: config.size('max_position_embeddings') };
    default:
      throw new CalibrantError(
        'UNSUPPORTED',
        `config.json: rotary scaling "${kind}" is not supported. Supported are default, linear, llama3 and dynamic.`,
        { file: 'config.json', option: 'rope_scaling' },
      );
  }
}
