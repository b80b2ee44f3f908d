import type { TensorSpec } from '@calibrant/core';

/** A tensor as rows of its last axis. */
export function matrixOf({ shape }: TensorSpec): { readonly rows: number; readonly columns: number } {
  return { rows: shape.slice(0, -1).reduce((product, size) => product * size, 1), columns: shape.at(-1) ?? 1 };
}
