import { type Checkpoint, type PlannedTensor, type Tensor, tensor, toF32 } from '@calibrant/core';
import { countNonFinite, nonFiniteError } from './finite.js';
import { orderedRows, type ReadRows, sortRows, transposedRows } from './ordered-rows.js';

/** About how many elements are read and encoded at a time: 16 MB of f32. */
const CHUNK_ELEMENTS = 4 * 1024 * 1024;

export interface SourceRows {
  readonly rowStart: number;
  /** `[rows, columns]` in the source's dtype, rows already in output order. */
  readonly value: Tensor;
}

/**
 * Reads a planned tensor's source by ranges of rows (a vector is one row), in the order of the output's rows. Memory does not grow with the
 * tensor, except for transposed ones, which are held once.
 *
 * @throws CalibrantError `NON_FINITE` with the tensor's name and the count after the whole tensor was looked at.
 */
export async function* readSourceRows(checkpoint: Checkpoint, planned: PlannedTensor, wholeTensor = false): AsyncGenerator<SourceRows> {
  const columns = planned.shape.at(-1) ?? 1;
  const rowCount = planned.shape.slice(0, -1).reduce((product, size) => product * size, 1);
  if (planned.constant) yield { rowStart: 0, value: { ...planned.constant, shape: [rowCount, columns] } };
  const sources = planned.constant ? [] : (planned.stacked ?? (planned.source === undefined ? [] : [planned.source]));
  const gathered: Tensor[] = [];
  for (const [index, name] of sources.entries()) {
    const rows = rowCount / sources.length;
    let nonFinite = 0;
    for await (const { rowStart, value } of rowsOf(checkpoint, name, planned, rows, wholeTensor)) {
      nonFinite += countNonFinite(value);
      if (nonFinite > 0) continue;
      if (wholeTensor && sources.length > 1) gathered.push(value);
      else yield { rowStart: index * rows + rowStart, value };
    }
    if (nonFinite > 0) throw nonFiniteError(name, nonFinite, checkpoint.tensors.get(name)?.file ?? checkpoint.name);
  }
  if (gathered.length > 0) yield { rowStart: 0, value: concatenate(gathered, [rowCount, columns]) };
}

/** The rows of one source, added to where that is planned. */
async function* rowsOf(
  checkpoint: Checkpoint,
  name: string,
  planned: PlannedTensor,
  rowCount: number,
  wholeTensor: boolean,
): AsyncGenerator<SourceRows> {
  const { rowOrder, add } = planned;
  const columns = planned.shape.at(-1) ?? 1;
  const vector = planned.shape.length === 1 || checkpoint.tensors.get(name)?.shape.length === 1;
  const period = rowOrder?.period ?? 1;
  const wholePeriods = wholeTensor || period * columns <= CHUNK_ELEMENTS;
  const step = wholePeriods ? period : 1;
  const fitting = Math.max(1, Math.floor(CHUNK_ELEMENTS / columns / step)) * step;
  const chunk = wholeTensor || vector ? rowCount : Math.min(rowCount, fitting);
  const read: ReadRows = vector
    ? async () => wholeVector(await checkpoint.read(name), planned)
    : planned.transposed
      ? transposedRows(checkpoint, name)
      : orderedRows(checkpoint, name, rowOrder, columns, wholePeriods);
  for (let start = 0; start < rowCount; start += chunk) {
    const end = Math.min(rowCount, start + chunk);
    const value = { ...(await read(start, end)), shape: [end - start, columns] };
    yield { rowStart: start, value: add === undefined ? value : plus(value, add) };
  }
}

/** A vector as one row; its elements are its rows. */
function wholeVector(read: Tensor, { shape, rowOrder }: PlannedTensor): Tensor {
  const sorted = rowOrder ? sortRows(read, rowOrder, 1) : read;
  const length = shape.at(-1) ?? 1;
  return sorted.data.length > length ? { ...sorted, data: sorted.data.subarray(0, length) as Tensor['data'] } : sorted;
}

function plus(value: Tensor, add: number): Tensor {
  return tensor(
    'f32',
    value.shape,
    toF32(value).map((element) => element + add),
  );
}

function concatenate(parts: readonly Tensor[], shape: readonly number[]): Tensor {
  const result = tensor(parts[0].dtype, shape);
  let at = 0;
  for (const { data } of parts) {
    (result.data as Float32Array).set(data as Float32Array, at);
    at += data.length;
  }
  return result;
}
