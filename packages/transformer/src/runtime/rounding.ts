import {
  type ActivationGrid,
  activationSchemeName,
  type Backend,
  type BufferHandle,
  type ExecutionPlan,
  roundActivations,
} from '@calibrant/core';
import type { LinearStep } from '../description.js';

/** What one block rounds: inputs of linear layers by the weight's name, and the keys and values that its attention reads. */
export interface BlockExecution {
  readonly activations: ExecutionPlan['activations'];
  readonly keyValueCache?: { readonly key: ActivationGrid; readonly value: ActivationGrid };
}

/** The part of a plan that one block needs; undefined where nothing is rounded. */
export function blockExecution(plan: ExecutionPlan | undefined, index: number): BlockExecution | undefined {
  if (!plan) return undefined;
  const keyValueCache = plan.keyValueCache?.get(index);
  return { activations: plan.activations, ...(keyValueCache ? { keyValueCache } : {}) };
}

/** Inputs of linear layers on their grids, during one run of a list of steps. Layers that read one value on one grid share it. */
export interface RoundedInputs {
  /** What a layer computes with: the value itself where the plan says nothing of the layer. The handle stays this object's. */
  of(step: LinearStep, value: BufferHandle): BufferHandle;
  /** Frees what was made of a value. */
  release(input: string): void;
}

export function createRoundedInputs(backend: Backend, execution: BlockExecution | undefined): RoundedInputs {
  const made = new Map<string, Map<string, BufferHandle>>();
  return {
    of({ input, weight }, value) {
      const grid = execution?.activations.get(weight.name);
      if (!grid) return value;
      const ofInput = made.get(input) ?? new Map<string, BufferHandle>();
      made.set(input, ofInput);
      const key = `${activationSchemeName(grid.scheme)} ${grid.scale} ${grid.zeroPoint}`;
      const rounded = ofInput.get(key) ?? roundActivations(backend, value, grid);
      ofInput.set(key, rounded);
      return rounded;
    },
    release(input) {
      backend.free(...(made.get(input)?.values() ?? []));
      made.delete(input);
    },
  };
}
