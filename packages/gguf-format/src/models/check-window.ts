import { CalibrantError } from '@calibrant/core';
import type { Json, ModelConfig } from './model-config.js';

/**
 * Sliding windows that config.json turns on by "use_sliding_window", in the layers that "layer_types" names or else those that `slides` tells: from
 * "max_window_layers" on if absent.
 *
 * @throws CalibrantError `UNSUPPORTED` when a window is shorter than the context, because llama.cpp attends to everything there.
 */
export function checkWindow(
  { slidingWindow, contextLength, layers }: ModelConfig,
  raw: Json,
  model: string,
  slides = (layer: number, { max_window_layers: first }: Json) => layer >= Number(first ?? 0),
): void {
  if (raw['use_sliding_window'] !== true || slidingWindow === undefined || slidingWindow >= contextLength) return;
  const types = raw['layer_types'];
  const all = Array.from({ length: layers }, (_, layer) =>
    Array.isArray(types) ? types[layer] === 'sliding_attention' : slides(layer, raw),
  );
  if (!all.includes(true)) return;
  throw new CalibrantError(
    'UNSUPPORTED',
    `${model}: config.json turns on a sliding window of ${slidingWindow} tokens ("use_sliding_window"), but llama.cpp attends to everything in ${String(raw['model_type'])} models.`,
    { option: 'use_sliding_window' },
  );
}
