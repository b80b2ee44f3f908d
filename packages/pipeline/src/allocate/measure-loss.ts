import { weightedError } from '@calibrant/calibrators';
import {
  type Backend,
  type BlockScheme,
  type Checkpoint,
  convert,
  type FloatScheme,
  type ImportanceMatrix,
  type PlannedTensor,
  throwIfAborted,
  withBuffers,
} from '@calibrant/core';
import { uploadImportance } from '../run/importance-buffers.js';
import { readSourceRows } from '../run/source-rows.js';

/**
 * What each of some types would lose of a tensor: `Σ importance · (ŵ − w)² / Σ importance · w²`, the part of the layer's output that becomes noise. In
 * streamed rows; sums in f64, in order.
 */
export async function measureLosses(
  checkpoint: Checkpoint,
  planned: PlannedTensor,
  schemes: readonly (BlockScheme | FloatScheme)[],
  matrix: ImportanceMatrix | undefined,
  backend: Backend,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const errors = schemes.map(() => 0);
  let norm = 0;
  const buffers = await uploadImportance(planned, matrix, backend);
  try {
    for await (const { rowStart, value } of readSourceRows(checkpoint, planned)) {
      throwIfAborted(signal);
      await withBuffers(backend, async (track) => {
        const source = track(await backend.upload(value));
        const x = value.dtype === 'f32' ? source : track(backend.run(convert, { x: source }, { to: 'f32' }).y);
        const importance = buffers?.ofRows(rowStart, value.shape[0]);
        for (const [i, scheme] of schemes.entries()) {
          const stored = track(
            scheme.kind === 'block'
              ? backend.run(scheme.encode, { x, importance }, {}).blocks
              : backend.run(convert, { x }, { to: scheme.dtype }).y,
          );
          const y = track(
            scheme.kind === 'block'
              ? backend.run(scheme.decode, { blocks: stored }, {}).x
              : backend.run(convert, { x: stored }, { to: 'f32' }).y,
          );
          const of = backend.run(weightedError, { x, y, importance }, {});
          errors[i] += sum((await backend.download(track(of.errors))).data as Float64Array);
          const ofNorms = (await backend.download(track(of.norms))).data as Float64Array;
          if (i === 0) norm += sum(ofNorms);
        }
      });
    }
  } finally {
    buffers?.free();
  }
  return errors.map((error) => (norm > 0 ? error / norm : 0));
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
