import type { ActivationGrid, ActivationScheme, ExecutionPlan } from '@calibrant/core';
import type { ArchitectureDescription } from '../description.js';
import { stagesOf } from './block.js';

export interface ExecutionChoice {
  /** Grid of the inputs of the linear layers inside blocks; floating point if absent. */
  readonly activations?: ActivationScheme;
  /** Layers (by the weight's name) whose inputs stay in floating point; none if absent. */
  readonly keep?: (weight: string) => boolean;
  /** Grid of cached keys and values; floating point if absent. */
  readonly keyValueCache?: ActivationScheme;
}

/**
 * One grid for all linear layers inside blocks (routers and the output projection stay in floating point) and one for all caches. Static grids
 * lack their scales, which calibration finds.
 *
 * @example
 * const execution = planExecution(description, { activations: parseActivationScheme('int8-token') });
 * const model = openTransformer(checkpoint, backend, { execution });
 */
export function planExecution(description: ArchitectureDescription, { activations, keep, keyValueCache }: ExecutionChoice): ExecutionPlan {
  const inputs = new Map<string, ActivationGrid>();
  const caches = new Map<number, { key: ActivationGrid; value: ActivationGrid }>();
  for (const [index, steps] of description.blocks.entries()) {
    if (activations)
      for (const { linears } of stagesOf(steps, index))
        for (const { name } of linears) if (!keep?.(name)) inputs.set(name, { scheme: activations });
    if (keyValueCache && steps.some(({ op }) => op === 'attention'))
      caches.set(index, { key: { scheme: keyValueCache }, value: { scheme: keyValueCache } });
  }
  return { activations: inputs, ...(caches.size > 0 ? { keyValueCache: caches } : {}) };
}
