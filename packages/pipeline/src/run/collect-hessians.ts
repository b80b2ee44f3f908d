import { type Backend, type BufferHandle, gram, type Observations, tensor } from '@calibrant/core';
import type { Stage, TransformerBlock } from '@calibrant/transformer';
import type { HiddenStates } from './hidden-states.js';

/** Bounds how far the queue runs ahead of the lanes: a shared copy of each observed input waits there. */
const SYNC_EVERY = 16;

/**
 * Accumulates `H = 2/n · Σ x xᵀ` over the calibration tokens for each stage's input (Frantar et al., arXiv 2210.17323, section 3), in f32 and in the
 * order of the sequences. One stage is computed only as far as its input; several are observed in one pass. Where the model
 * rounds its inputs, x is what the layer computes with.
 */
export async function collectHessians(
  backend: Backend,
  block: TransformerBlock,
  stages: readonly Stage[],
  weights: ReadonlyMap<string, BufferHandle>,
  hidden: HiddenStates,
  tokens: number,
  signal?: AbortSignal,
): Promise<Map<string, Observations>> {
  const hessians = new Map<string, BufferHandle>();
  const seen = new Map<string, number>();
  const accumulate = (point: string, value: BufferHandle) => {
    const h = hessians.get(point) as BufferHandle;
    seen.set(point, (seen.get(point) ?? 0) + value.shape[0]);
    const x = backend.share(value);
    hessians.set(point, backend.run(gram, { h, x }, { scale: 2 / tokens }).h);
    backend.free(h, x);
  };
  try {
    for (const { point, linears } of stages) {
      const size = linears[0].shape[1];
      hessians.set(point, await backend.upload(tensor('f32', [size, size])));
    }
    const wanted = new Set(hessians.keys());
    await hidden.pass(async (state, index) => {
      if (stages.length === 1) {
        const value = await block.forwardTo(stages[0].point, state, weights, { observeRounded: true });
        accumulate(stages[0].point, value);
        backend.free(value);
      } else {
        const observe = (point: string, value: BufferHandle) => {
          if (wanted.has(point)) accumulate(point, value);
        };
        backend.free(await block.forward(state, weights, { observe, observeRounded: true }));
      }
      if (index % SYNC_EVERY === SYNC_EVERY - 1) await backend.sync();
      return undefined;
    }, signal);
  } catch (error) {
    backend.free(...hessians.values());
    throw error;
  }
  return new Map([...hessians].map(([point, hessian]) => [point, { hessian, tokens: seen.get(point) ?? 0, calibrationTokens: tokens }]));
}
