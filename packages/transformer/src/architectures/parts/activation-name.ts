import { type ActivationKind, CalibrantError } from '@calibrant/core';
import type { ConfigReader } from './config-reader.js';

const ACTIVATIONS: Readonly<Record<string, ActivationKind>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_fast: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  relu: 'relu',
};

/**
 * The activation that config.json names under a key.
 *
 * @throws CalibrantError `UNSUPPORTED` for a name that is not known here.
 */
export function activationKind(config: ConfigReader, key = 'hidden_act', fallback = 'silu'): ActivationKind {
  const name = config.text(key, fallback);
  if (!Object.hasOwn(ACTIVATIONS, name))
    throw new CalibrantError(
      'UNSUPPORTED',
      `config.json: activation "${name}" is not supported. Supported are ${Object.keys(ACTIVATIONS).join(', ')}.`,
      { file: 'config.json', option: key },
    );
  return ACTIVATIONS[name];
}
