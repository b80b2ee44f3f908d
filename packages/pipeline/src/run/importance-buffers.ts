import { countsPerExpert, meanImportance } from '@calibrant/calibrators';
import { type Backend, type BufferHandle, type ImportanceMatrix, type PlannedTensor, tensor } from '@calibrant/core';

/** The importance of one tensor's columns on the backend, for each expert. */
export interface ImportanceBuffers {
  /** f32 `[columns]` for a range of rows, which must lie within one expert. */
  ofRows(start: number, count: number): BufferHandle;
  free(): void;
}

/** Uploads what a matrix says of a tensor that will be stored in blocks; undefined when it says nothing. */
export async function uploadImportance(
  { name, scheme, shape }: PlannedTensor,
  matrix: ImportanceMatrix | undefined,
  backend: Backend,
): Promise<ImportanceBuffers | undefined> {
  const found = scheme.kind === 'block' ? matrix?.entries.get(name) : undefined;
  if (!found) return undefined;
  const experts = expertsOf(shape);
  const entry = countsPerExpert(found, experts);
  const rowsPerExpert = shape.at(-2) ?? 1;
  const buffers: BufferHandle[] = [];
  try {
    for (let expert = 0; expert < experts; expert++) {
      const values = meanImportance(name, entry, expert);
      buffers.push(await backend.upload(tensor('f32', [values.length], values)));
    }
  } catch (error) {
    backend.free(...buffers);
    throw error;
  }
  return {
    ofRows(start, count) {
      const expert = Math.floor(start / rowsPerExpert);
      if (start + count > (expert + 1) * rowsPerExpert)
        throw new TypeError(`rows ${start} to ${start + count} of ${name} belong to several experts`);
      return buffers[expert];
    },
    free: () => backend.free(...buffers),
  };
}

/** Matrices that a weight `[experts, out, in]` holds; 1 for `[out, in]`. */
export function expertsOf(shape: readonly number[]): number {
  return shape.slice(0, -2).reduce((product, size) => product * size, 1);
}
