import { type Backend, type BufferHandle, gram, type Observations, tensor } from '@calibrant/core';
import type { Stage, TransformerBlock } from '@calibrant/transformer';
import { addDeviation, type FullPrecision, fullValues } from './full-precision.js';
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
  /** Experts see all tokens, not only those that are routed to them. */
  readonly allTokens: boolean;
  /** Asks for deviations from the full-precision model, at the points that are not among `without`. */
  readonly full?: (FullPrecision & { readonly without: ReadonlySet<string> }) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Accumulates `H = 2/n · Σ x xᵀ` over the calibration tokens for each stage's input (Frantar et al., arXiv 2210.17323, section 3), in f32 and in the
 * order of the sequences. One stage is computed only as far as its input; several are observed in one pass. Where the model
 * rounds its inputs, x is what the layer computes with. The caller frees the buffers.
 */
export async function collectHessians(input: CollectInput): Promise<Map<string, Observations>> {
  const { backend, block, stages, weights, hidden, tokens, allTokens, full, signal } = input;
  const hessians = new Map<string, BufferHandle>();
  const deviations = new Map<string, BufferHandle>();
  const seen = new Map<string, number>();
  const scale = 2 / tokens;
  const accumulate = (point: string, value: BufferHandle, reference: BufferHandle | undefined) => {
    const h = hessians.get(point) as BufferHandle;
    seen.set(point, (seen.get(point) ?? 0) + value.shape[0]);
    const x = backend.share(value);
    hessians.set(point, backend.run(gram, { h, x }, { scale }).h);
    if (reference) deviations.set(point, addDeviation(backend, deviations.get(point) as BufferHandle, reference, x, scale));
    backend.free(h, x);
  };
  try {
    for (const { point, linears } of stages) {
      const zero = tensor('f32', [linears[0].shape[1], linears[0].shape[1]]);
      hessians.set(point, await backend.upload(zero));
      if (full && !full.without.has(point)) deviations.set(point, await backend.upload(zero));
    }
    const wanted = new Set(hessians.keys());
    const compared = new Set(deviations.keys());
    await hidden.pass(async (state, index) => {
      const references = full && compared.size > 0 ? await fullValues(backend, block, full, index, compared) : undefined;
      try {
        if (stages.length === 1) {
          const [{ point }] = stages;
          const value = await block.forwardTo(point, state, weights, { observeRounded: true, allTokens });
          accumulate(point, value, references?.get(point));
          backend.free(value);
        } else {
          const observe = (point: string, value: BufferHandle) => {
            if (wanted.has(point)) accumulate(point, value, references?.get(point));
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
    backend.free(...hessians.values(), ...deviations.values());
    throw error;
  }
  return new Map(
    [...hessians].map(([point, hessian]) => {
      const deviation = deviations.get(point);
      return [point, { hessian, ...(deviation ? { deviation } : {}), tokens: seen.get(point) ?? 0, calibrationTokens: tokens }];
    }),
  );
}
