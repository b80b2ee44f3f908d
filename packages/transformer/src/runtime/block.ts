import type { Backend, BufferHandle, Checkpoint } from '@calibrant/core';
import { type ArchitectureDescription, type LinearStep, linearSteps, type Step, weightsOf } from '../description.js';
import { loadWeights } from './load-weight.js';
import { partOf } from './part-of.js';
import type { PositionBuffers } from './position-buffers.js';
import type { BlockExecution } from './rounding.js';
import { runSteps } from './run-steps.js';
import type { CacheObserver } from './steps-context.js';

/** A linear layer inside a block: what a quantizer may work on. */
export interface LinearInfo {
  /** Name of the weight tensor. */
  readonly name: string;
  readonly block: number;
  /** The observation point inside the block at which its input can be seen; linears with equal points share their input. */
  readonly input: string;
  /** Name of the bias tensor. */
  readonly bias?: string;
  /** `[out, in]`, as `load` gives it. */
  readonly shape: readonly [number, number];
  /** The checkpoint stores it as `[in, out]`. */
  readonly transposed?: true;
}

/**
 * Linear layers that read the same value. Stages of a block come in the order in which they are computed (true-sequential order). Routers and
 * gates are not among them: they stay as they are.
 */
export interface Stage {
  readonly point: string;
  readonly linears: readonly LinearInfo[];
}

/** A stage among those of its block. */
export interface BlockStage extends Stage {
  /** Neighbouring stages of an equal group do not depend on one another's linears: the inputs of all experts can be observed in one pass. */
  readonly group: number;
}

export interface ForwardOptions {
  /**
   * Called for each observation point with the input of its linears, f32 `[tokens, in]`. The handle is valid during the call: enqueue work on it, do not
   * keep it. The linears of an expert see the tokens that are routed to it alone, and no call comes when there are none.
   */
  readonly observe?: (point: string, handle: BufferHandle) => void;
  /** Called with what a cache would hold, before it is rounded: keys after the rotary embedding, and values. */
  readonly observeCache?: CacheObserver;
  /** Show observers the inputs as the model's execution plan rounds them, instead of before. */
  readonly observeRounded?: boolean;
  /** Compute every expert on all tokens, so that observers see them all in each; the output is that of the routed ones, as ever. */
  readonly allTokens?: boolean;
}

/** One transformer block. Holds no memory itself: `load` gives weights to the caller, who may replace entries (by quantized ones) and frees them by `release`. */
export interface TransformerBlock {
  readonly index: number;
  readonly stages: readonly BlockStage[];
  /** Reads the block's weights as f32 buffers that every lane sees, by tensor name. */
  load(): Promise<Map<string, BufferHandle>>;
  /** Enqueues the block on one sequence, `hidden [tokens, hiddenSize]` on any lane. `hidden` stays the caller's, the result becomes the caller's. */
  forward(hidden: BufferHandle, weights: ReadonlyMap<string, BufferHandle>, options?: ForwardOptions): Promise<BufferHandle>;
  /**
   * Computes the block only as far as an observation point and returns the value there, which becomes the caller's. Inside an expert without
   * tokens it has 0 rows.
   */
  forwardTo(
    point: string,
    hidden: BufferHandle,
    weights: ReadonlyMap<string, BufferHandle>,
    options?: Pick<ForwardOptions, 'observeRounded' | 'allTokens'>,
  ): Promise<BufferHandle>;
  /**
   * Computes what depends on one value alone, with other weights, and returns where that meets the rest of the block: the values at the border of what depends on it, each of which
   * becomes the caller's.
   */
  recompute(from: string, value: BufferHandle, weights: ReadonlyMap<string, BufferHandle>): Promise<BufferHandle[]>;
  /** Frees all weights in the map and empties it. */
  release(weights: Map<string, BufferHandle>): void;
}

/** The linears of a block, by their input. */
export function stagesOf(steps: readonly Step[], block: number): BlockStage[] {
  const linears = linearSteps(steps).filter(({ decides }) => !decides);
  return independentPoints(steps).flatMap((points, group) =>
    points.map((point) => ({ point, group, linears: linears.flatMap(infoAt(point)) })),
  );

  function infoAt(point: string): (step: LinearStep) => LinearInfo[] {
    return ({ input, weight, bias }) =>
      input !== point
        ? []
        : [
            {
              name: weight.name,
              block,
              input: point,
              shape: weight.shape as [number, number],
              ...(bias ? { bias: bias.name } : {}),
              ...(weight.stored === 'transposed' ? { transposed: true as const } : {}),
            },
          ];
  }
}

/** The observation points of a list of steps in the order of computation; those in one list do not depend on one another's linears. */
function independentPoints(steps: readonly Step[]): string[][] {
  const found: string[][] = [];
  for (const step of steps) {
    if (step.op === 'linear' && !step.decides && !found.some((points) => points.includes(step.input))) found.push([step.input]);
    if (step.op !== 'mixture') continue;
    const first = found.length;
    for (const expert of step.experts)
      for (const [depth, points] of independentPoints(expert.steps).entries()) {
        found[first + depth] ??= [];
        found[first + depth].push(...points);
      }
  }
  return found;
}

export function createBlock(
  backend: Backend,
  checkpoint: Checkpoint,
  description: ArchitectureDescription,
  positions: PositionBuffers,
  index: number,
  execution?: BlockExecution,
): TransformerBlock {
  const steps = description.blocks[index];
  return {
    index,
    stages: stagesOf(steps, index),
    load: () => loadWeights(backend, checkpoint, weightsOf(steps)),
    async forward(hidden, weights, { observe, observeRounded, observeCache, allTokens } = {}) {
      const context = { backend, weights, positions: await positions.sequence(hidden.shape[0]), execution, observeCache, allTokens };
      return runSteps(steps, hidden, observe ? { ...context, observe, observeRounded } : context);
    },
    async forwardTo(point, hidden, weights, { observeRounded, allTokens } = {}) {
      const context = { backend, weights, positions: await positions.sequence(hidden.shape[0]), execution, observeRounded, allTokens };
      return runSteps(steps, hidden, context, { result: point });
    },
    async recompute(from, value, weights) {
      const context = { backend, weights, positions: await positions.sequence(value.shape[0]), execution };
      const results: BufferHandle[] = [];
      try {
        for (const part of partOf(steps, from))
          results.push(await runSteps(part.steps, value, context, { start: from, result: part.result }));
      } catch (error) {
        backend.free(...results);
        throw error;
      }
      return results;
    },
    release(weights) {
      backend.free(...weights.values());
      weights.clear();
    },
  };
}
