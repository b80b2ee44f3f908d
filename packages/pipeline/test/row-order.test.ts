import { type Checkpoint, type PlannedTensor, type Tensor, type TensorInfo, tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { readSourceRows } from '../src/run/source-rows.js';

type Planned = Partial<PlannedTensor> & { readonly shape: readonly number[] };

const values = (shape: readonly number[], first = 0) =>
  tensor(
    'f32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => first + i),
  );

/** A checkpoint of these tensors. */
function checkpointOf(tensors: Record<string, Tensor>): Checkpoint & { reads: number[] } {
  const reads: number[] = [];
  const read: Checkpoint['read'] = async (name, range) => {
    const whole = tensors[name];
    reads.push(range ? range.end - range.start : whole.shape[0]);
    if (!range) return whole;
    const size = whole.shape[1];
    return tensor('f32', [range.end - range.start, size], (whole.data as Float32Array).slice(range.start * size, range.end * size));
  };
  const infos = Object.entries(tensors).map(([name, { shape }]) => [name, { name, shape, dtype: 'f32', bytes: 0, file: '' } as TensorInfo]);
  return {
    name: 'test',
    config: {},
    tensors: new Map(infos as [string, TensorInfo][]),
    files: [],
    text: async () => undefined,
    close: async () => {},
    read,
    reads,
  };
}

async function rowsOf(checkpoint: Checkpoint, planned: Planned, wholeTensor = false): Promise<number[]> {
  const out: number[] = [];
  const whole: PlannedTensor = { name: 't', scheme: { kind: 'float', dtype: 'f32' }, ...planned };
  for await (const { rowStart, value } of readSourceRows(checkpoint, whole, wholeTensor)) {
    expect(rowStart * (planned.shape.at(-1) ?? 1)).toBe(out.length);
    expect(value.shape).toEqual([value.data.length / (planned.shape.at(-1) ?? 1), planned.shape.at(-1)]);
    out.push(...(value.data as Float32Array));
  }
  return out;
}

describe('reading rows in the order of the output', () => {
  const rowOrder = { period: 4, order: [0, 2, 1, 3] };

  it('reorders the rows of a matrix within each period', async () => {
    expect(await rowsOf(checkpointOf({ s: values([8, 2]) }), { source: 's', shape: [8, 2], rowOrder })).toEqual([
      0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15,
    ]);
  });

  it('reorders the elements of a vector, such as the bias of those rows', async () => {
    expect(await rowsOf(checkpointOf({ s: values([8]) }), { source: 's', shape: [8], rowOrder })).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  it('leaves rows alone without an order', async () => {
    expect(await rowsOf(checkpointOf({ s: values([2, 2]) }), { source: 's', shape: [2, 2] })).toEqual([0, 1, 2, 3]);
  });

  it('reads a period that is larger than memory should hold by the runs of rows that are needed', async () => {
    const columns = 2 ** 20;
    const checkpoint = checkpointOf({ s: values([12, columns]) });
    const order = [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11];
    const firsts: number[] = [];
    const planned: PlannedTensor = {
      name: 't',
      source: 's',
      shape: [12, columns],
      rowOrder: { period: 12, order },
      scheme: { kind: 'float', dtype: 'f32' },
    };
    for await (const { value } of readSourceRows(checkpoint, planned))
      for (let row = 0; row < value.shape[0]; row++) firsts.push(Number(value.data[row * columns]) / columns);
    expect(firsts).toEqual(order);
    expect(checkpoint.reads).toEqual([2, 2, 2, 2, 2, 2]);
  });
});

describe('reading a source that is not the output itself', () => {
  it('transposes a matrix, reading it once', async () => {
    const checkpoint = checkpointOf({ s: values([2, 3]) });
    expect(await rowsOf(checkpoint, { source: 's', shape: [3, 2], transposed: true })).toEqual([0, 3, 1, 4, 2, 5]);
    expect(checkpoint.reads).toEqual([2]);
  });

  it('adds a constant in f32, whatever the type of the source', async () => {
    const half = tensor('bf16', [2], new Uint16Array([0x3f80, 0x3b80]));
    expect(await rowsOf(checkpointOf({ s: half }), { source: 's', shape: [2], add: 1 })).toEqual([2, 1.00390625]);
  });

  it.each([false, true])('stacks matrices and vectors one after the other, read whole: %s', async (whole) => {
    const checkpoint = checkpointOf({ a: values([2, 2]), b: values([2, 2], 4), u: values([2]), v: values([2], 2) });
    expect(await rowsOf(checkpoint, { stacked: ['a', 'b'], shape: [2, 2, 2] }, whole)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await rowsOf(checkpoint, { stacked: ['u', 'v'], shape: [2, 2] }, whole)).toEqual([0, 1, 2, 3]);
  });

  it('leaves out rows beyond the shape, and reads a matrix of one row as a vector', async () => {
    expect(await rowsOf(checkpointOf({ s: values([4, 2]) }), { source: 's', shape: [3, 2] })).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await rowsOf(checkpointOf({ s: values([1, 3]) }), { source: 's', shape: [3] })).toEqual([0, 1, 2]);
  });
});
