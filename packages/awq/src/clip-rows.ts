import {
  type Backend,
  type BufferHandle,
  fakeQuantizeAffine,
  groupMagnitudes,
  linear,
  squaredErrors,
  tensor,
  withBuffers,
} from '@calibrant/core';
import { clampRows } from './clamp-rows.js';
import type { SearchClipAttributes } from './search-clip.js';

/** What clipping made of a weight, with the errors of each row `[rows, 2]` without and with it. */
export interface ClippedRows {
  readonly clipped: BufferHandle;
  readonly errors: Float64Array;
}

/**
 * `searchClip` where a group is a whole row: the error of a range is measured on the products with the tokens, `Σ_t (x_t · Q(clamp(w)) − x_t · w)²`, which is `dᵀ H d` in `tokens` instead of `columns` products for each weight, and
 * matrix products instead of vector ones. The caller keeps `w [rows, columns]` and `x [tokens, columns]`.
 */
export async function clipRows(
  backend: Backend,
  w: BufferHandle,
  x: BufferHandle,
  { bits, symmetric, steps }: Pick<SearchClipAttributes, 'bits' | 'symmetric' | 'steps'>,
): Promise<ClippedRows> {
  const [rows, columns] = w.shape;
  const grid = { bits, symmetric, groupSize: columns };
  return withBuffers(backend, async (track) => {
    const magnitudes = track(backend.run(groupMagnitudes, { w }, { groupSize: columns }).magnitudes);
    const largest = (await backend.download(magnitudes)).data as Float32Array;
    const clamped = async (bounds: Float32Array, keep: <T extends BufferHandle>(handle: T) => T) =>
      backend.run(clampRows, { w, bounds: keep(await backend.upload(tensor('f32', [rows, 1], bounds))) }, {}).y;
    const exact = track(backend.run(linear, { x: w, w: x }, {}).y);
    const best = largest.slice();
    const errors = new Float64Array(2 * rows).fill(Infinity);
    for (let step = 0; step < steps; step++) {
      const bounds = largest.map((value) => value * Math.fround(1 - step / (2 * steps)));
      const found = await withBuffers(backend, async (keep) => {
        const inside = keep(await clamped(bounds, keep));
        const rounded = keep(backend.run(fakeQuantizeAffine, { w: inside, factors: undefined }, grid).y);
        const outputs = keep(backend.run(linear, { x: rounded, w: x }, {}).y);
        return (await backend.download(keep(backend.run(squaredErrors, { a: outputs, b: exact }, {}).sums))).data as Float64Array;
      });
      for (let r = 0; r < rows; r++) {
        if (step === 0) errors[2 * r] = found[r];
        if (!(found[r] < errors[2 * r + 1])) continue;
        errors[2 * r + 1] = found[r];
        best[r] = bounds[r];
      }
    }
    return { clipped: await clamped(best, track), errors };
  });
}
