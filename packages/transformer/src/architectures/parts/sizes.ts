import { CalibrantError } from '@calibrant/core';
import type { ConfigReader } from './config-reader.js';

/** The sizes that every block of a decoder shares. */
export interface DecoderSizes {
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** More heads than any model has; a config that says more is broken. */
const MAX_HEADS = 2 ** 16;

/**
 * Reads sizes under Hugging Face's usual keys. `kvHeads` is `num_key_value_heads`, or as many as query heads when `grouped` is false.
 *
 * @throws CalibrantError `CORRUPT_FILE` when heads do not divide evenly.
 */
export function readSizes(config: ConfigReader, { headDim, grouped = true }: { headDim?: number; grouped?: boolean } = {}): DecoderSizes {
  const hiddenSize = config.size('hidden_size');
  const heads = config.size('num_attention_heads', undefined, MAX_HEADS);
  const kvHeads = grouped ? config.size('num_key_value_heads', heads) : heads;
  if (heads % kvHeads !== 0)
    throw new CalibrantError(
      'CORRUPT_FILE',
      `config.json: num_attention_heads (${heads}) must be a multiple of num_key_value_heads (${kvHeads}).`,
      { file: 'config.json', option: 'num_key_value_heads' },
    );
  return { hiddenSize, heads, kvHeads, headDim: config.size('head_dim', headDim ?? Math.floor(hiddenSize / heads)) };
}
