import { type Backend, type ByteSource, CalibrantError, elementCount, type Tensor, type TypedArray, tensor } from '@calibrant/core';
import type { BlockType } from '../blocks/block-type.js';
import { BLOCK_TYPES, findBlockTypeById } from '../blocks/block-types.js';
import type { GgufTensor } from '../file/gguf-file.js';

interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Rows of a tensor (elements of a vector) in the checkpoint's order. With `order`, row `r` of the file within each run of `order.length` rows is
 * the checkpoint's row `order[r]`.
 */
export async function readRows(
  source: ByteSource,
  backend: Backend,
  of: GgufTensor,
  range: Range,
  order?: readonly number[],
): Promise<Tensor> {
  const count = of.shape[0] ?? 1;
  if (!(range.start >= 0 && range.start <= range.end && range.end <= count))
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${source.name}: rows ${range.start} to ${range.end} are outside tensor "${of.name}" of ${count} rows.`,
      {
        file: source.name,
        tensor: of.name,
      },
    );
  const type = findBlockTypeById(of.type.id);
  if (!type)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${source.name}: tensor "${of.name}" is stored as ${of.type.name}, which cannot be decoded here. Known: ${Object.keys(BLOCK_TYPES).join(', ')}.`,
      { file: source.name, tensor: of.name },
    );
  if (!order) return readStored(source, backend, of, type, range);
  const period = order.length;
  const wide = of.shape.length > 1 && period * elementCount(of.shape.slice(1)) > LARGEST_PERIOD;
  if (wide) return readRuns(source, backend, of, type, range, order);
  const start = Math.floor(range.start / period) * period;
  const stored = await readStored(source, backend, of, type, { start, end: Math.min(count, Math.ceil(range.end / period) * period) });
  const place = new Array<number>(period);
  for (const [inFile, inCheckpoint] of order.entries()) place[inCheckpoint] = inFile;
  const rowElements = elementCount(of.shape.slice(1));
  const ordered = tensor(stored.dtype, [range.end - range.start, ...of.shape.slice(1)]);
  for (let row = range.start; row < range.end; row++) {
    const from = Math.floor(row / period) * period + place[row % period] - start;
    ordered.data.set(stored.data.subarray(from * rowElements, (from + 1) * rowElements) as never, (row - range.start) * rowElements);
  }
  return ordered;
}

/** Elements of a period that is read whole; of longer ones only the rows that are asked for. */
const LARGEST_PERIOD = 4 * 1024 * 1024;

/** Rows in the checkpoint's order, read in runs of neighbours in the file. */
async function readRuns(
  source: ByteSource,
  backend: Backend,
  of: GgufTensor,
  type: BlockType,
  { start, end }: Range,
  order: readonly number[],
): Promise<Tensor> {
  const place = new Array<number>(order.length);
  for (const [inFile, inCheckpoint] of order.entries()) place[inCheckpoint] = inFile;
  const placeOf = (row: number) => Math.floor(row / order.length) * order.length + place[row % order.length];
  const rowElements = elementCount(of.shape.slice(1));
  let result: Tensor | undefined;
  for (let row = start; row < end; ) {
    const from = placeOf(row);
    let count = 1;
    while (row + count < end && placeOf(row + count) === from + count) count++;
    const part = await readStored(source, backend, of, type, { start: from, end: from + count });
    result ??= tensor(part.dtype, [end - start, ...of.shape.slice(1)]);
    result.data.set(part.data as never, (row - start) * rowElements);
    row += count;
  }
  return result ?? readStored(source, backend, of, type, { start: 0, end: 0 });
}

/** Rows as they lie in the file: floats in their own type, blocks decoded to f32. */
async function readStored(source: ByteSource, backend: Backend, of: GgufTensor, type: BlockType, { start, end }: Range): Promise<Tensor> {
  const shape = [end - start, ...of.shape.slice(1)];
  const rowBytes = of.bytes / (of.shape[0] ?? 1);
  const length = rowBytes * (end - start);
  // A copy of its own: typed arrays need alignment.
  const bytes = new Uint8Array(length);
  if (length > 0) bytes.set(await source.read(of.offset + start * rowBytes, length));
  const whole = (data: TypedArray, dtype: Tensor['dtype']) => tensor(dtype, of.shape.length === 0 ? [] : shape, data);
  if (type.name === 'F32') return whole(new Float32Array(bytes.buffer), 'f32');
  if (type.name === 'F16') return whole(new Uint16Array(bytes.buffer), 'f16');
  if (type.name === 'BF16') return whole(new Uint16Array(bytes.buffer), 'bf16');
  if (length === 0) return whole(new Float32Array(0), 'f32');
  // A quantized vector is one row.
  const rows = of.shape.length === 1 ? 1 : end - start;
  const blocks = await backend.upload(tensor('u8', [rows, length / rows], bytes));
  const { x } = backend.run(type.decode, { blocks }, {});
  try {
    const decoded = await backend.download(x);
    return whole(decoded.data, 'f32');
  } finally {
    backend.free(blocks, x);
  }
}
