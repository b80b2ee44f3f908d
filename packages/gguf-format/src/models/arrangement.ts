import { CalibrantError, type OutputTensor } from '@calibrant/core';
import type { Arrangement } from './architecture.js';
import type { ModelConfig } from './model-config.js';

/** What {@link Arrangement} means for a tensor of the checkpoint, in the words of {@link OutputTensor}. */
export type Arranged = Pick<OutputTensor, 'shape' | 'rowOrder' | 'transposed' | 'add'>;

/** @throws CalibrantError `SHAPE_MISMATCH` when the rows are not those of the heads in config.json. */
export function arrange(
  as: Arrangement | undefined,
  shape: readonly number[],
  { headDim, heads, kvHeads }: ModelConfig,
  source: string,
  model: string,
): Arranged {
  const expectRows = (fits: boolean, expected: string) => {
    if (fits) return;
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${model}: tensor "${source}" has ${shape[0]} rows, ${expected} by the model's configuration.`,
      {
        tensor: source,
      },
    );
  };
  switch (as) {
    case 'pairs':
      expectRows(shape[0] % headDim === 0, `which is no multiple of the head size ${headDim}`);
      return { shape, rowOrder: { period: headDim, order: pairedOrder(headDim) } };
    case 'fused': {
      const rows = (heads + 2 * kvHeads) * headDim;
      expectRows(shape[0] === rows, `but ${heads} heads with ${kvHeads} keys and values of size ${headDim} make ${rows}`);
      return { shape, rowOrder: { period: rows, order: fusedOrder(heads, kvHeads, headDim) } };
    }
    case 'transposed':
      return shape.length === 2 ? { shape: [shape[1], shape[0]], transposed: true } : { shape };
    case 'plus one':
      return { shape, add: 1 };
    case 'flat':
      return { shape: [shape.reduce((product, size) => product * size, 1)] };
    default:
      return { shape };
  }
}

/** Row `2i + h` of a head in the file is row `h · headDim / 2 + i` of the checkpoint (h = 0, 1). */
function pairedOrder(headDim: number): number[] {
  return Array.from({ length: headDim }, (_, row) => (row & 1) * (headDim / 2) + (row >> 1));
}

/** All queries, then all keys, then all values, from groups of queries, a key and a value. */
function fusedOrder(heads: number, kvHeads: number, headDim: number): number[] {
  const queries = heads / kvHeads;
  const row = (group: number, head: number) => (group * (queries + 2) + head) * headDim;
  const blocks = [
    ...Array.from({ length: heads }, (_, head) => row(Math.floor(head / queries), head % queries)),
    ...Array.from({ length: kvHeads }, (_, group) => row(group, queries)),
    ...Array.from({ length: kvHeads }, (_, group) => row(group, queries + 1)),
  ];
  return blocks.flatMap((first) => Array.from({ length: headDim }, (_, i) => first + i));
}
