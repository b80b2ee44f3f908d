import type { Backend, Observations } from '@calibrant/core';
import type { Stage } from '@calibrant/transformer';
import type { SavedHessians } from '../statistics/hessian-file.js';
import type { ModelStatistics } from '../statistics/statistics-file.js';
import { withAllExperts } from './collect-hessians.js';

/** Hessians of a file in the place of those that `collectHessians` would find; the caller frees the buffers. */
export async function savedObservations(
  hessians: SavedHessians,
  { inputs, calibration }: ModelStatistics,
  stages: readonly Stage[],
  experts: ReadonlyMap<string, readonly string[]>,
  backend: Backend,
): Promise<Map<string, Observations>> {
  const found = new Map<string, Observations>();
  for (const { point, linears } of stages) {
    const [{ name }] = linears;
    const hessian = await backend.upload(await hessians.of(name));
    found.set(point, { hessian, tokens: inputs.get(name)?.tokens ?? 0, calibrationTokens: calibration.tokens });
  }
  return withAllExperts(found, { backend, experts });
}
