import type { Tensor } from '@calibrant/core';

/** Copies the rows of a byte matrix into the rows of a wider one, from a column on. */
export function scatterRows(from: Tensor, to: Tensor, column: number): void {
  const [rows, width] = from.shape;
  const [source, target] = [from.data, to.data] as Uint8Array[];
  for (let r = 0; r < rows; r++) target.set(source.subarray(r * width, (r + 1) * width), r * to.shape[1] + column);
}

/** The same for columns that go to places of their own. */
export function scatterColumns(from: Tensor, to: Tensor, columns: Int32Array): void {
  const [rows, width] = from.shape;
  const [source, target] = [from.data, to.data] as Uint8Array[];
  for (let r = 0; r < rows; r++) for (let i = 0; i < width; i++) target[r * to.shape[1] + columns[i]] = source[r * width + i];
}
