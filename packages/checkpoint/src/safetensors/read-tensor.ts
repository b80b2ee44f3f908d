import { type ByteSource, CalibrantError, DTYPES, elementCount, type Tensor, tensor } from '@calibrant/core';
import type { SafetensorsEntry } from './header.js';

/** Rows `[start, end)` along the first axis. */
export interface RowSelection {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads a tensor, or a range of its rows, in its stored type. Only the bytes asked for are read.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` for rows that the tensor does not have.
 */
export async function readSafetensorsTensor(source: ByteSource, entry: SafetensorsEntry, range?: RowSelection): Promise<Tensor> {
  const { array, bytes: itemBytes } = DTYPES[entry.dtype];
  const { start, end } = range ?? { start: 0, end: entry.shape[0] ?? 1 };
  const rowCount = entry.shape[0] ?? 1;
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= rowCount))
    throw new CalibrantError('SHAPE_MISMATCH', `${source.name}: rows ${start} to ${end} are outside "${entry.name}" of ${rowCount} rows.`, {
      file: source.name,
      tensor: entry.name,
    });
  const rowBytes = elementCount(entry.shape.slice(1)) * itemBytes;
  const bytes = await source.read(entry.offset + start * rowBytes, (end - start) * rowBytes);
  const shape = entry.shape.length === 0 ? [] : [end - start, ...entry.shape.slice(1)];
  const aligned = bytes.byteOffset % itemBytes === 0 ? bytes : bytes.slice();
  return tensor(entry.dtype, shape, new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / itemBytes));
}
