import { type Checkpoint, type PlannedTensor, type Tensor, tensor } from '@calibrant/core';
import { countNonFinite, nonFiniteError } from './finite.js';

/** About how many elements are read and encoded at a time: 16 MB of f32. */
const CHUNK_ELEMENTS = 4 * 1024 * 1024;

export interface SourceRows {
  readonly rowStart: number;
  /** `[rows, columns]` in the source's dtype, rows already in output order. */
  readonly value: Tensor;
}

/**
 * Reads a planned tensor's source by ranges of rows (a vector is one row), in the order of the output's rows. Memory does not grow with the tensor.
 *
 * @throws CalibrantError `NON_FINITE` with the tensor's name and the count after the whole tensor was looked at.
 */
export async function* readSourceRows(checkpoint: Checkpoint, planned: PlannedTensor, wholeTensor = false): AsyncGenerator<SourceRows> {
  const rank2 = planned.shape.length === 1 ? [1, planned.shape[0]] : planned.shape;
  const [rowCount, columns] = rank2;
  if (planned.constant || planned.source === undefined) {
    if (planned.constant) yield { rowStart: 0, value: { ...planned.constant, shape: rank2 } };
    return;
  }
  const period = planned.rowOrder?.period ?? 1;
  const fitting = Math.max(1, Math.floor(CHUNK_ELEMENTS / columns / period)) * period;
  const chunk = wholeTensor || planned.shape.length === 1 ? rowCount : Math.min(rowCount, fitting);
  const file = checkpoint.tensors.get(planned.source)?.file ?? checkpoint.name;
  let nonFinite = 0;
  for (let start = 0; start < rowCount; start += chunk) {
    const end = Math.min(rowCount, start + chunk);
    const read = planned.shape.length === 1 ? await checkpoint.read(planned.source) : await checkpoint.read(planned.source, { start, end });
    const value = inOutputOrder(read, planned.rowOrder, [end - start, columns]);
    nonFinite += countNonFinite(value);
    if (nonFinite === 0) yield { rowStart: start, value };
  }
  if (nonFinite > 0) throw nonFiniteError(planned.source, nonFinite, file);
}

/** Puts rows in output order; the rows of a vector are its elements. */
function inOutputOrder(read: Tensor, rowOrder: PlannedTensor['rowOrder'], shape: readonly number[]): Tensor {
  const asRows = read.shape.length === 1 ? [read.shape[0], 1] : shape;
  return { ...reorderRows({ ...read, shape: asRows }, rowOrder), shape };
}

/** Row r of the result is row `floor(r / period) · period + order[r mod period]`; the value starts at a multiple of the period. */
function reorderRows(value: Tensor, rowOrder: PlannedTensor['rowOrder']): Tensor {
  if (!rowOrder) return value;
  const { period, order } = rowOrder;
  const [rowCount, columns] = value.shape;
  const result = tensor(value.dtype, value.shape);
  const [from, to] = [value.data, result.data] as Float32Array[];
  for (let r = 0; r < rowCount; r++) {
    const source = Math.floor(r / period) * period + order[r % period];
    to.set(from.subarray(source * columns, (source + 1) * columns), r * columns);
  }
  return result;
}
