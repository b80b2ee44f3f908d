import { type DType, type Tensor, tensor } from '@calibrant/core';

/** A matrix that arrives in runs of its columns. */
export interface ColumnBuffer {
  /** Puts a part at a column. Returns the matrix once it is complete. */
  add(start: number, part: Tensor): Tensor | undefined;
}

export function columnBuffer(dtype: DType, shape: readonly [number, number]): ColumnBuffer {
  const [rows, columns] = shape;
  let whole: Tensor | undefined;
  let seen = 0;
  return {
    add(start, part) {
      const count = part.shape[1];
      seen += count;
      if (count === columns) return part;
      whole ??= tensor(dtype, shape);
      const [from, to] = [part.data, whole.data] as Float32Array[];
      for (let r = 0; r < rows; r++) to.set(from.subarray(r * count, (r + 1) * count), r * columns + start);
      return seen === columns ? whole : undefined;
    },
  };
}
