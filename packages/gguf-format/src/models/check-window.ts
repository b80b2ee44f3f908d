import { CalibrantError } from '@calibrant/core';
import type { Json, ModelConfig } from './model-config.js';

/**
 * Sliding windows that config.json turns on by "use_sliding_window", in layers from "max_window_layers" on or in those that "layer_types" names.
 *
 * @throws CalibrantError `UNSUPPORTED` when a window is shorter than the context, because llama.cpp attends to everything there.
 */
export function checkWindow({ slidingWindow, contextLength, layers }: ModelConfig, raw: Json, model: string): void {
  if (raw['use_sliding_window'] !== true || slidingWindow === undefined || slidingWindow >= contextLength) return;
  const [types, first] = [raw['layer_types'], raw['max_window_layers'] ?? 0];
  if (Array.isArray(types) ? !types.includes('sliding_attention') : Number(first) >= layers) return;
  throw new CalibrantError(
    'UNSUPPORTED',
    `${model}: config.json turns on a sliding window of ${slidingWindow} tokens ("use_sliding_window"), but llama.cpp attends to everything in ${String(raw['model_type'])} models.`,
    { option: 'use_sliding_window' },
  );
}
