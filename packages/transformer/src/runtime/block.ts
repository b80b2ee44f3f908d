import type { Backend, BufferHandle, Checkpoint } from '@calibrant/core';
import { type ArchitectureDescription, type Step, weightsOf } from '../description.js';
import { loadWeight } from './load-weight.js';
import type { PositionBuffers } from './position-buffers.js';
import { observationPoints, runSteps } from './run-steps.js';

/** A linear layer inside a block: what a quantizer may work on. */
export interface LinearInfo {
  /** Name of the weight tensor. */
  readonly name: string;
  readonly block: number;
  /** The observation point inside the block at which its input can be seen; linears with equal points share their input. */
  readonly input: string;
  /** Name of the bias tensor. */
  readonly bias?: string;
  /** `[out, in]`. */
  readonly shape: readonly [number, number];
}

/** Linear layers that read the same value. Stages of a block come in the order in which they are computed (true-sequential order). */
export interface Stage {
  readonly point: string;
  readonly linears: readonly LinearInfo[];
}

export interface ForwardOptions {
  /** Called for each observation point with the input of its linears, f32 `[tokens, in]`. The handle is valid during the call: enqueue work on it, do not keep it. */
  readonly observe?: (point: string, handle: BufferHandle) => void;
}

/** One transformer block. Holds no memory itself: `load` gives weights to the caller, who may replace entries (by quantized ones) and frees them by `release`. */
export interface TransformerBlock {
  readonly index: number;
  readonly stages: readonly Stage[];
  /** Reads the block's weights as f32 buffers that every lane sees, by tensor name. */
  load(): Promise<Map<string, BufferHandle>>;
  /** Enqueues the block on one sequence, `hidden [tokens, hiddenSize]` on any lane. `hidden` stays the caller's, the result becomes the caller's. */
  forward(hidden: BufferHandle, weights: ReadonlyMap<string, BufferHandle>, options?: ForwardOptions): Promise<BufferHandle>;
  /** Computes the block only as far as an observation point and returns the value there, which becomes the caller's. */
  forwardTo(point: string, hidden: BufferHandle, weights: ReadonlyMap<string, BufferHandle>): Promise<BufferHandle>;
  /** Frees all weights in the map and empties it. */
  release(weights: Map<string, BufferHandle>): void;
}

/** The linears of a block, grouped by their input. */
export function stagesOf(steps: readonly Step[], block: number): Stage[] {
  return observationPoints(steps).map((point) => ({
    point,
    linears: steps.flatMap((step) =>
      step.op === 'linear' && step.input === point
        ? [
            {
              name: step.weight.name,
              block,
              input: point,
              shape: step.weight.shape as [number, number],
              ...(step.bias ? { bias: step.bias.name } : {}),
            },
          ]
        : [],
    ),
  }));
}

export function createBlock(
  backend: Backend,
  checkpoint: Checkpoint,
  description: ArchitectureDescription,
  positions: PositionBuffers,
  index: number,
): TransformerBlock {
  const steps = description.blocks[index];
  return {
    index,
    stages: stagesOf(steps, index),
    async load() {
      const weights = new Map<string, BufferHandle>();
      try {
        for (const { name } of weightsOf(steps)) weights.set(name, await loadWeight(backend, checkpoint, name));
      } catch (error) {
        backend.free(...weights.values());
        throw error;
      }
      return weights;
    },
    async forward(hidden, weights, { observe } = {}) {
      const context = { backend, weights, positions: await positions.sequence(hidden.shape[0]) };
      return runSteps(steps, hidden, observe ? { ...context, observe } : context);
    },
    async forwardTo(point, hidden, weights) {
      return runSteps(steps, hidden, { backend, weights, positions: await positions.sequence(hidden.shape[0]) }, point);
    },
    release(weights) {
      backend.free(...weights.values());
      weights.clear();
    },
  };
}
