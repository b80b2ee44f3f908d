import { type Backend, type BufferHandle, gram, type Observations, tensor } from '@calibrant/core';
import { addDeviation } from './full-precision.js';

/** Hessians of the inputs at some points, in the making. */
export interface HessianSums {
  /** Points whose deviation from the full-precision model is summed up, too. */
  readonly compared: ReadonlySet<string>;
  has(point: string): boolean;
  /** Adds the inputs `[tokens, in]` of one sequence, and those of the full-precision model at a compared point; all stay the caller's. */
  add(point: string, value: BufferHandle, reference: BufferHandle | undefined): void;
  /** What was found; the buffers become the caller's. */
  observations(): Map<string, Observations>;
  free(): void;
}

/**
 * Sums up `H = 2/n · Σ x xᵀ` over the n calibration tokens (Frantar et al., arXiv 2210.17323, section 3), in f32 and in the order of the calls.
 *
 * @param sizes channels at each point
 */
export async function createHessianSums(
  backend: Backend,
  sizes: ReadonlyMap<string, number>,
  compared: ReadonlySet<string>,
  tokens: number,
): Promise<HessianSums> {
  const hessians = new Map<string, BufferHandle>();
  const deviations = new Map<string, BufferHandle>();
  const seen = new Map<string, number>();
  const scale = 2 / tokens;
  for (const [point, size] of sizes) {
    hessians.set(point, await backend.upload(tensor('f32', [size, size])));
    if (compared.has(point)) deviations.set(point, await backend.upload(tensor('f32', [size, size])));
  }
  return {
    compared,
    has: (point) => hessians.has(point),
    add(point, value, reference) {
      const h = hessians.get(point) as BufferHandle;
      seen.set(point, (seen.get(point) ?? 0) + value.shape[0]);
      const x = backend.share(value);
      hessians.set(point, backend.run(gram, { h, x }, { scale }).h);
      const deviation = deviations.get(point);
      if (deviation && reference) deviations.set(point, addDeviation(backend, deviation, reference, x, scale));
      backend.free(h, x);
    },
    observations: () =>
      new Map(
        [...hessians].map(([point, hessian]) => {
          const deviation = deviations.get(point);
          return [point, { hessian, ...(deviation ? { deviation } : {}), tokens: seen.get(point) ?? 0, calibrationTokens: tokens }];
        }),
      ),
    free: () => backend.free(...hessians.values(), ...deviations.values()),
  };
}
