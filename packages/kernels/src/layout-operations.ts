import { CalibrantError, type TypedArray } from '@calibrant/core';
import type { NativeCall, NativeOperations } from './native.js';

/** Operations that only copy rows. They read shared memory in place, so that no lane copies an embedding table for the few rows it needs. */
export const LAYOUT_OPERATIONS: NativeOperations = {
  'core.gather': gather,
  'core.slice': slice,
};

function gather({ lane, inputs: { table, ids }, outputs: { y } }: NativeCall): void {
  const [count, width] = table!.shape;
  const [source, target] = [lane.view(table!), lane.view(y)] as Float32Array[];
  const picked = lane.view(ids!) as Int32Array;
  for (let i = 0; i < picked.length; i++) {
    const id = picked[i];
    if (id < 0 || id >= count) throw new CalibrantError('INVALID_ARGUMENT', `gather: row ${id} is outside a table of ${count} rows.`);
    target.set(source.subarray(id * width, (id + 1) * width), i * width);
  }
}

function slice({ lane, inputs: { x }, outputs: { y }, attributes: { rowStart, rowEnd, columnStart, columnEnd } }: NativeCall): void {
  const width = x!.shape[1];
  const [source, target]: TypedArray[] = [lane.view(x!), lane.view(y)];
  const size = columnEnd - columnStart;
  if (size === width) {
    target.set(source.subarray(rowStart * width, rowEnd * width) as never);
    return;
  }
  for (let row = rowStart; row < rowEnd; row++)
    target.set(source.subarray(row * width + columnStart, row * width + columnEnd) as never, (row - rowStart) * size);
}
