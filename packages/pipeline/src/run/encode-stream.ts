import {
  type Backend,
  type BufferHandle,
  type Checkpoint,
  convert,
  elementCount,
  encodeMinifloat,
  type FormatWriter,
  type ImportanceMatrix,
  type MinifloatScheme,
  type PlannedTensor,
  type QuantizedTensor,
  type RunOptions,
  type Tensor,
  throwIfAborted,
  withBuffers,
} from '@calibrant/core';
import { type ImportanceBuffers, uploadImportance } from './importance-buffers.js';
import { readSourceRows } from './source-rows.js';

/** Chunks on their way through the backend while the next one is read. */
const IN_FLIGHT = 3;

/**
 * Streams one tensor that needs no calibration from the checkpoint through its encoding kernel to the writer, a range of rows at a time,
 * reading ahead while the backend works.
 */
export async function encodeStream(
  checkpoint: Checkpoint,
  planned: PlannedTensor,
  writer: FormatWriter,
  backend: Backend,
  { signal }: RunOptions,
  matrix?: ImportanceMatrix,
): Promise<void> {
  if (planned.scheme.kind === 'minifloat') return encodeWhole(checkpoint, planned, planned.scheme, writer, backend);
  const importance = await uploadImportance(planned, matrix, backend);
  const pending: Promise<{ rowStart: number; value: QuantizedTensor }>[] = [];
  const writeOldest = async () => {
    const part = await pending.shift();
    if (part) await writer.write(planned, part);
  };
  try {
    for await (const { rowStart, value } of readSourceRows(checkpoint, planned)) {
      throwIfAborted(signal);
      const encoded = encode(value, rowStart, planned, backend, importance).then((result) => ({ rowStart, value: result }));
      encoded.catch(() => {}); // reported when its turn to be written comes
      pending.push(encoded);
      if (pending.length >= IN_FLIGHT) await writeOldest();
    }
    while (pending.length > 0) await writeOldest();
  } finally {
    await Promise.allSettled(pending);
    importance?.free();
  }
}

/** Scales of 8-bit floats are those of whole tensors or of blocks of rows. */
async function encodeWhole(
  checkpoint: Checkpoint,
  planned: PlannedTensor,
  scheme: MinifloatScheme,
  writer: FormatWriter,
  backend: Backend,
): Promise<void> {
  const weight = await loadWhole(checkpoint, planned, backend);
  try {
    await writer.write(planned, { rowStart: 0, value: await encodeMinifloat(backend, weight, scheme) });
  } finally {
    backend.free(weight);
  }
}

async function encode(
  value: Tensor,
  rowStart: number,
  { scheme, shape }: PlannedTensor,
  backend: Backend,
  importance: ImportanceBuffers | undefined,
): Promise<QuantizedTensor> {
  const outShape = shape.length === 1 ? shape : value.shape;
  if (scheme.kind === 'affine' || scheme.kind === 'minifloat') throw new TypeError(`${scheme.kind} grids are not encoded by rows`);
  if (scheme.kind === 'float' && scheme.dtype === value.dtype)
    return { kind: 'float', scheme, shape: outShape, tensor: { ...value, shape: outShape } };
  return withBuffers(backend, async (track) => {
    const source = track(await backend.upload(value));
    if (scheme.kind === 'float') {
      const { y } = backend.run(convert, { x: source }, { to: scheme.dtype });
      return { kind: 'float', scheme, shape: outShape, tensor: { ...(await backend.download(track(y))), shape: outShape } };
    }
    const x = value.dtype === 'f32' ? source : track(backend.run(convert, { x: source }, { to: 'f32' }).y);
    const { blocks } = backend.run(scheme.encode, { x, importance: importance?.ofRows(rowStart, value.shape[0]) }, {});
    const { data } = await backend.download(track(blocks));
    return { kind: 'block', scheme, shape: outShape, bytes: data as Uint8Array };
  });
}

/** The whole source of a planned tensor as f32 `[out, in]`, visible to all lanes. */
export async function loadWhole(checkpoint: Checkpoint, planned: PlannedTensor, backend: Backend): Promise<BufferHandle> {
  for await (const { value } of readSourceRows(checkpoint, planned, true)) {
    const source = await backend.upload(value);
    if (value.dtype === 'f32') return source;
    const { y } = backend.run(convert, { x: source }, { to: 'f32' });
    backend.free(source);
    return y;
  }
  throw new TypeError(`${planned.name} has no source`);
}

/** Elements of a planned tensor, the unit of progress. */
export function workOf(planned: PlannedTensor): number {
  return elementCount(planned.shape);
}
