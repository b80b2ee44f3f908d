import { add, type Backend, type BufferHandle, type Observations } from '@calibrant/core';
import type { Stage, TransformerBlock } from '@calibrant/transformer';
import { type FullPrecision, fullValues } from './full-precision.js';
import { createHessianSums } from './hessian-sums.js';
import type { HiddenStates } from './hidden-states.js';

/** Bounds how far the queue runs ahead of the lanes: a shared copy of each observed input waits there. */
const SYNC_EVERY = 16;

export interface CollectInput {
  readonly backend: Backend;
  readonly block: TransformerBlock;
  readonly stages: readonly Stage[];
  readonly weights: ReadonlyMap<string, BufferHandle>;
  readonly hidden: HiddenStates;
  /** Tokens of the calibration set. */
  readonly tokens: number;
  /** For each value that an expert is given, those of all experts of its mixture. */
  readonly experts: ReadonlyMap<string, readonly string[]>;
  /** Experts see all tokens, not only those that are routed to them. */
  readonly allTokens: boolean;
  /** Asks for deviations from the full-precision model, at the points that are not among `without`. */
  readonly full?: (FullPrecision & { readonly without: ReadonlySet<string> }) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Accumulates the Hessian of each stage's input over the calibration tokens, in the order of the sequences. One stage is computed only as far as its
 * input; several are observed in one pass. Where the model rounds its inputs, x is what the layer computes with. The caller frees the buffers.
 */
export async function collectHessians(input: CollectInput): Promise<Map<string, Observations>> {
  const { backend, block, stages, weights, hidden, tokens, allTokens, full, signal } = input;
  const sizes = new Map(stages.map(({ point, linears }) => [point, linears[0].shape[1]]));
  const compared = new Set(full ? [...sizes.keys()].filter((point) => !full.without.has(point)) : []);
  const sums = await createHessianSums(backend, sizes, compared, tokens);
  try {
    await hidden.pass(async (state, index) => {
      const references = full && compared.size > 0 ? await fullValues(backend, block, full, index, compared) : undefined;
      try {
        if (stages.length === 1) {
          const [{ point }] = stages;
          const value = await block.forwardTo(point, state, weights, { observeRounded: true, allTokens });
          sums.add(point, value, references?.get(point));
          backend.free(value);
        } else {
          const observe = (point: string, value: BufferHandle) => {
            if (sums.has(point)) sums.add(point, value, references?.get(point));
          };
          backend.free(await block.forward(state, weights, { observe, observeRounded: true, allTokens }));
        }
      } finally {
        backend.free(...(references?.values() ?? []));
      }
      if (index % SYNC_EVERY === SYNC_EVERY - 1) await backend.sync();
      return undefined;
    }, signal);
  } catch (error) {
    sums.free();
    throw error;
  }
  return withAllExperts(sums.observations(), input);
}

/** Lets experts look at the tokens of all experts of their mixture. */
export function withAllExperts(
  found: Map<string, Observations>,
  { backend, experts }: Pick<CollectInput, 'backend' | 'experts'>,
): Map<string, Observations> {
  for (const [point, observations] of found) {
    const hessians = experts.get(point)?.map((input) => found.get(input)?.hessian);
    if (!hessians?.every((hessian) => hessian !== undefined)) continue;
    found.set(point, { ...observations, ofAllExperts: () => sumOf(backend, hessians) });
  }
  return found;
}

function sumOf(backend: Backend, [first, ...others]: readonly BufferHandle[]): BufferHandle {
  let sum = backend.run(add, { a: first, b: first }, { scale: 0 }).y;
  for (const other of others) {
    const next = backend.run(add, { a: sum, b: other }, { scale: 1 }).y;
    backend.free(sum);
    sum = next;
  }
  return sum;
}
