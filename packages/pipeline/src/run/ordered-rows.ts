import { type Checkpoint, type PlannedTensor, type Tensor, tensor } from '@calibrant/core';

type RowOrder = PlannedTensor['rowOrder'];

/** Reads rows `[start, end)` of the output from one tensor of the checkpoint. */
export type ReadRows = (start: number, end: number) => Promise<Tensor>;

/**
 * A reader of a matrix whose rows come in another order. Short periods are read whole and sorted in memory; of longer ones (a fused
 * projection is one period) only the rows that are asked for, in runs of neighbours.
 */
export function orderedRows(checkpoint: Checkpoint, name: string, rowOrder: RowOrder, columns: number, wholePeriods: boolean): ReadRows {
  if (!rowOrder) return (start, end) => checkpoint.read(name, { start, end });
  if (wholePeriods) return async (start, end) => sortRows(await checkpoint.read(name, { start, end }), rowOrder, columns);
  return async (start, end) => {
    let result: Tensor | undefined;
    for (const run of runs(rowOrder, start, end)) {
      const part = await checkpoint.read(name, { start: run.from, end: run.from + run.count });
      result ??= tensor(part.dtype, [end - start, columns]);
      (result.data as Float32Array).set(part.data as Float32Array, (run.to - start) * columns);
    }
    return result ?? checkpoint.read(name, { start: 0, end: 0 });
  };
}

/** A reader of a matrix that the checkpoint holds transposed: its whole is read once. */
export function transposedRows(checkpoint: Checkpoint, name: string): ReadRows {
  let whole: Promise<Tensor> | undefined;
  return async (start, end) => {
    whole ??= checkpoint.read(name);
    const { dtype, shape, data } = await whole;
    const [inputs, outputs] = shape;
    const result = tensor(dtype, [end - start, inputs]);
    for (let i = 0; i < inputs; i++)
      for (let row = start; row < end; row++) result.data[(row - start) * inputs + i] = data[i * outputs + row] as never;
    return result;
  };
}

/** The source row of an output row. */
function sourceRow({ period, order }: NonNullable<RowOrder>, row: number): number {
  return Math.floor(row / period) * period + order[row % period];
}

/** The longest runs of output rows whose source rows are neighbours. */
function* runs(rowOrder: NonNullable<RowOrder>, start: number, end: number): Generator<{ to: number; from: number; count: number }> {
  for (let to = start; to < end; ) {
    const from = sourceRow(rowOrder, to);
    let count = 1;
    while (to + count < end && sourceRow(rowOrder, to + count) === from + count) count++;
    yield { to, from, count };
    to += count;
  }
}

/** Row r of the result is row `floor(r / period) · period + order[r mod period]`; the value starts at a multiple of the period. */
export function sortRows(value: Tensor, rowOrder: NonNullable<RowOrder>, columns: number): Tensor {
  const result = tensor(value.dtype, value.shape);
  const [from, to] = [value.data, result.data] as Float32Array[];
  for (let row = 0; row < value.data.length / columns; row++) {
    const source = sourceRow(rowOrder, row);
    to.set(from.subarray(source * columns, (source + 1) * columns), row * columns);
  }
  return result;
}
