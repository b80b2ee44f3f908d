import type { Checkpoint } from '@calibrant/core';
import { architectureOfModelType } from './architectures.js';
import { type Json, readModelConfig } from './model-config.js';
import { textModel } from './text-model.js';

/** What a person should know of how llama.cpp runs a model that is written all the same: beyond some length it computes something else. */
export function runtimeNotes(checkpoint: Checkpoint): string[] {
  const { config: raw, name } = textModel(checkpoint);
  const architecture = architectureOfModelType(raw['model_type'], name);
  const { slidingWindow, contextLength } = readModelConfig(raw, architecture, name);
  const notes: string[] = [];
  if (architecture.ignoresWindow && slidingWindow !== undefined && slidingWindow < contextLength)
    notes.push(
      `llama.cpp has no sliding window for ${String(raw['model_type'])}: on texts of more than ${slidingWindow} tokens it attends to all of them, and its results differ from the checkpoint's.`,
    );
  const rope = (raw['rope_scaling'] ?? raw['rope_parameters'] ?? {}) as Json;
  if ((rope['rope_type'] ?? rope['type']) === 'dynamic')
    notes.push(
      `llama.cpp has no dynamic scaling of rotations: on texts of more than ${contextLength} tokens its results differ from the checkpoint's.`,
    );
  return notes;
}
