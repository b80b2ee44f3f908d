import { type DType, type Tensor, tensor } from '@calibrant/core';

/** A matrix that arrives in runs of its rows. */
export interface RowBuffer {
  /** Puts a part at a row. Returns the matrix once it is complete. */
  add(start: number, part: Tensor): Tensor | undefined;
}

export function rowBuffer(dtype: DType, shape: readonly [number, number]): RowBuffer {
  const [rows, columns] = shape;
  let whole: Tensor | undefined;
  let seen = 0;
  return {
    add(start, part) {
      seen += part.shape[0];
      if (part.shape[0] === rows) return part;
      whole ??= tensor(dtype, shape);
      (whole.data as Float32Array).set(part.data as Float32Array, start * columns);
      return seen === rows ? whole : undefined;
    },
  };
}
