import {
  type Backend,
  type ByteSink,
  type ByteSource,
  CalibrantError,
  type RunOptions,
  type Tensor,
  tensor,
  throwIfAborted,
  withBuffers,
} from '@calibrant/core';
import type { BlockType } from '../blocks/block-type.js';
import { refinedEncoderOf } from '../blocks/refined.js';
import type { Search } from '../schemes/tensor-types.js';

export interface RawRowsOptions extends RunOptions {
  readonly backend: Backend;
  readonly type: BlockType;
  /** Elements per row, a multiple of the type's block size. */
  readonly columns: number;
}

/** Elements of one piece, and pieces on their way through the backend at once. */
const ELEMENTS = 2 ** 20;
const IN_FLIGHT = 3;

/**
 * Encodes rows of raw little-endian f32 into the type's blocks, streaming. `importance` holds one weight per column; `search: 'refined'` looks longer for less
 * error, where the type has such a search.
 *
 * @returns the rows
 * @throws CalibrantError `SHAPE_MISMATCH` for sizes that do not fit, `NON_FINITE` for values that blocks cannot hold (float types keep them).
 */
export async function encodeRawRows(
  from: ByteSource,
  to: ByteSink,
  { importance, search = 'ggml', ...options }: RawRowsOptions & { readonly importance?: Float32Array; readonly search?: Search },
): Promise<number> {
  const { backend, type, columns } = options;
  checkColumns(type, columns);
  if (importance) checkImportance(importance, columns);
  const encode = (search === 'refined' ? refinedEncoderOf(type.name) : undefined) ?? type.encode;
  return withBuffers(backend, async (track) => {
    const weights = importance ? track(await backend.upload(tensor('f32', [columns], importance))) : undefined;
    return transformRows(from, to, 4 * columns, encodedRowBytes(type, columns), 'Encoding', options, async (bytes, rows, row) => {
      const x = new Float32Array(bytes.slice().buffer);
      if (type.blockSize > 1) checkFinite(x, columns, row, from.name);
      return withBuffers(backend, async (own) => {
        const input = own(await backend.upload(tensor('f32', [rows, columns], x)));
        return backend.download(own(backend.run(encode, { x: input, ...(weights ? { importance: weights } : {}) }, {}).blocks));
      });
    });
  });
}

/**
 * Decodes blocks of a type to rows of raw little-endian f32, streaming.
 *
 * @returns the rows
 * @throws CalibrantError `SHAPE_MISMATCH` for sizes that do not fit.
 */
export async function decodeRawRows(from: ByteSource, to: ByteSink, options: RawRowsOptions): Promise<number> {
  const { backend, type, columns } = options;
  checkColumns(type, columns);
  const rowBytes = encodedRowBytes(type, columns);
  return transformRows(from, to, rowBytes, 4 * columns, 'Decoding', options, async (bytes, rows) =>
    withBuffers(backend, async (own) => {
      const blocks = own(await backend.upload(tensor('u8', [rows, rowBytes], bytes)));
      return backend.download(own(backend.run(type.decode, { blocks }, {}).x));
    }),
  );
}

/** Bytes of a row in a type's blocks. */
export function encodedRowBytes({ blockSize, blockBytes }: BlockType, columns: number): number {
  return (columns / blockSize) * blockBytes;
}

/** Reads pieces of whole rows, sends a few at a time through `transform`, writes the results in order. */
async function transformRows(
  from: ByteSource,
  to: ByteSink,
  rowBytes: number,
  outRowBytes: number,
  phase: string,
  { columns, type, onEvent, signal }: RawRowsOptions,
  transform: (bytes: Uint8Array, rows: number, firstRow: number) => Promise<Tensor>,
): Promise<number> {
  if (from.size % rowBytes !== 0)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${from.name} has ${from.size} bytes, which is no whole number of rows: a row of ${columns} columns takes ${rowBytes} bytes${phase === 'Encoding' ? ' of f32' : ` as ${type.name}`}.`,
      { file: from.name },
    );
  const rows = from.size / rowBytes;
  const step = Math.max(1, Math.floor(ELEMENTS / columns));
  const pending: Promise<{ readonly row: number; readonly result: Tensor }>[] = [];
  const writeOldest = async () => {
    const oldest = await pending.shift();
    if (!oldest) return;
    const { data } = oldest.result;
    await to.write(oldest.row * outRowBytes, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    onEvent?.({ phase, done: Math.min(from.size, (oldest.row + step) * rowBytes), total: from.size, unit: 'bytes' });
  };
  try {
    for (let row = 0; row < rows; row += step) {
      throwIfAborted(signal);
      const count = Math.min(step, rows - row);
      const piece = transform(await from.read(row * rowBytes, count * rowBytes), count, row).then((result) => ({ row, result }));
      piece.catch(() => {}); // reported when its turn to be written comes
      pending.push(piece);
      if (pending.length >= IN_FLIGHT) await writeOldest();
    }
    while (pending.length > 0) await writeOldest();
  } finally {
    await Promise.allSettled(pending);
  }
  return rows;
}

function checkColumns({ name, blockSize }: BlockType, columns: number): void {
  if (!(Number.isInteger(columns) && columns >= 1 && columns % blockSize === 0))
    throw new CalibrantError('SHAPE_MISMATCH', `${name} holds rows of a multiple of ${blockSize} columns, found ${columns}.`, {
      option: 'columns',
    });
}

function checkImportance(importance: Float32Array, columns: number): void {
  if (importance.length !== columns)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `The importance must have one weight for each of the ${columns} columns, found ${importance.length}.`,
      {
        option: 'imatrix',
      },
    );
  const bad = importance.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (bad >= 0)
    throw new CalibrantError(
      'NON_FINITE',
      `The importance of column ${bad} is ${importance[bad]}; weights must be finite and not negative.`,
      {
        option: 'imatrix',
      },
    );
}

function checkFinite(x: Float32Array, columns: number, firstRow: number, file: string): void {
  for (let i = 0; i < x.length; i++)
    if (!Number.isFinite(x[i]))
      throw new CalibrantError(
        'NON_FINITE',
        `${file}: row ${firstRow + Math.floor(i / columns)}, column ${i % columns} is ${x[i]}, which blocks cannot hold.`,
        { file, offset: 4 * (firstRow * columns + i) },
      );
}

/**
 * Reads importance, one raw little-endian f32 for each column, and closes the source.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` for another size.
 */
export async function readImportance(source: ByteSource, columns: number): Promise<Float32Array> {
  try {
    if (source.size !== 4 * columns)
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `${source.name} has ${source.size} bytes; importance for ${columns} columns takes ${4 * columns}, one float32 each.`,
        { file: source.name, option: 'imatrix' },
      );
    return new Float32Array((await source.read(0, source.size)).slice().buffer);
  } finally {
    await source.close();
  }
}
