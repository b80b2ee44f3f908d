import { type Backend, byteLength, type Checkpoint, convert, type DType, elementCount, type Tensor, tensor } from '@calibrant/core';
import { scaleChannels } from '@calibrant/outliers';
import type { ChannelFactors } from './plan-injection.js';

/** Rows that make about 16 MiB. */
const CHUNK_BYTES = 2 ** 24;

export interface TensorRows {
  readonly row: number;
  /** In the type that was asked for and the tensor's shape, of these rows alone. */
  readonly value: Tensor;
}

/** Reads a tensor by some rows at a time, scales it where there are factors, and converts it to another float type. What is not float comes as it is. */
export async function* scaledRows(
  checkpoint: Checkpoint,
  name: string,
  to: DType,
  factors: ChannelFactors | undefined,
  backend: Backend,
): AsyncGenerator<TensorRows> {
  const info = checkpoint.tensors.get(name)!;
  const rowCount = info.shape.length < 2 ? 1 : info.shape[0];
  const rowShape = info.shape.length < 2 ? info.shape : info.shape.slice(1);
  const step =
    info.shape.length < 2 ? 1 : Math.max(1, Math.floor(CHUNK_BYTES / Math.max(1, byteLength({ dtype: 'f32', shape: rowShape }))));
  for (let row = 0; row < rowCount; row += step) {
    const end = Math.min(rowCount, row + step);
    const read = await checkpoint.read(name, ...(info.shape.length < 2 ? [] : [{ start: row, end }]));
    if (read.dtype === to && !factors) yield { row, value: read };
    else {
      const flat = await scaled({ ...read, shape: [end - row, elementCount(rowShape)] }, to, cut(factors, row, end), backend);
      yield { row, value: { ...flat, shape: read.shape } };
    }
  }
}

function cut(factors: ChannelFactors | undefined, start: number, end: number): ChannelFactors | undefined {
  return factors?.rows ? { ...factors, rows: factors.rows.subarray(start, end) } : factors;
}

async function scaled(value: Tensor, to: DType, factors: ChannelFactors | undefined, backend: Backend): Promise<Tensor> {
  const upload = async (values: Float64Array | undefined) => values && backend.upload(tensor('f64', [values.length], values));
  let current = await backend.upload(value);
  const become = (next: typeof current): void => {
    backend.free(current);
    current = next;
  };
  const [rowFactors, columnFactors] = [await upload(factors?.rows), await upload(factors?.columns)];
  try {
    if (value.dtype !== 'f32') become(backend.run(convert, { x: current }, { to: 'f32' }).y);
    if (factors) become(backend.run(scaleChannels, { x: current, rowFactors, columnFactors }, { offset: factors.offset }).y);
    if (to !== 'f32') become(backend.run(convert, { x: current }, { to: to as 'f16' }).y);
    return await backend.download(current);
  } finally {
    backend.free(current, rowFactors, columnFactors);
  }
}
