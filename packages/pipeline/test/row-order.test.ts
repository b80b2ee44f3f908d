import { type Checkpoint, type PlannedTensor, tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { readSourceRows } from '../src/run/source-rows.js';

const values = (shape: number[]) =>
  tensor(
    'f32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
  );

/** A checkpoint of one tensor. */
function checkpointOf(shape: number[]): Checkpoint {
  const whole = values(shape);
  const read: Checkpoint['read'] = async (_, range) => {
    if (!range) return whole;
    const size = shape[1];
    return tensor('f32', [range.end - range.start, size], whole.data.slice(range.start * size, range.end * size));
  };
  return { name: 'test', config: {}, tensors: new Map(), files: [], text: async () => undefined, close: async () => {}, read };
}

async function rowsOf(shape: number[], rowOrder?: PlannedTensor['rowOrder']): Promise<number[]> {
  const planned: PlannedTensor = {
    name: 't',
    source: 's',
    shape,
    scheme: { kind: 'float', dtype: 'f32' },
    ...(rowOrder ? { rowOrder } : {}),
  };
  const out: number[] = [];
  for await (const { value } of readSourceRows(checkpointOf(shape), planned)) out.push(...(value.data as Float32Array));
  return out;
}

describe('reading rows in the order of the output', () => {
  const rowOrder = { period: 4, order: [0, 2, 1, 3] };

  it('reorders the rows of a matrix within each period', async () => {
    expect(await rowsOf([8, 2], rowOrder)).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
  });

  it('reorders the elements of a vector, such as the bias of a query projection', async () => {
    expect(await rowsOf([8], rowOrder)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  it('leaves other tensors as they are', async () => {
    expect(await rowsOf([2, 3])).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
