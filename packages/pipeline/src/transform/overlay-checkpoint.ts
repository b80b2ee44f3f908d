import { type BufferHandle, type Checkpoint, rows, type Tensor, type TensorInfo, tensor, toF32 } from '@calibrant/core';
import { storedParts, type Transformer, type WeightRef } from '@calibrant/transformer';

/** A checkpoint in which some tensors have other values, f32 in memory; the rest is read from where it was. */
export function overlayCheckpoint(base: Checkpoint, changed: ReadonlyMap<string, Tensor>): Checkpoint {
  const tensors = new Map<string, TensorInfo>(base.tensors);
  for (const [name, { dtype, shape, data }] of changed) {
    const info = base.tensors.get(name);
    tensors.set(name, { name, dtype, shape, bytes: data.byteLength, file: info?.file ?? base.name });
  }
  return {
    ...base,
    tensors,
    async read(name, range) {
      const value = changed.get(name);
      if (!value) return base.read(name, range);
      return range ? rows(value, range.start, range.end) : value;
    },
    close: async () => {},
  };
}

/** The tensors of the checkpoint that hold weights, with the values that the weights have now, as the checkpoint stores them. */
export async function storedValues(
  { backend, checkpoint }: Transformer,
  weights: ReadonlyMap<WeightRef, BufferHandle>,
): Promise<Map<string, Tensor>> {
  const values = new Map<string, Tensor>();
  for (const [weight, handle] of weights) {
    const value = await backend.download(handle);
    if (weight.stored === 'transposed') values.set(weight.name, transposed(value));
    else await cutIntoParts(weight, value.data as Float32Array, checkpoint, values);
  }
  return values;
}

async function cutIntoParts(weight: WeightRef, data: Float32Array, checkpoint: Checkpoint, values: Map<string, Tensor>): Promise<void> {
  let at = 0;
  for (const { name, shape, skipRows = 0 } of storedParts(weight)) {
    const whole = tensor('f32', shape);
    const before = skipRows * (shape[1] ?? 1);
    if (before > 0) (whole.data as Float32Array).set(toF32(await checkpoint.read(name, { start: 0, end: skipRows })));
    const count = whole.data.length - before;
    (whole.data as Float32Array).set(data.subarray(at, at + count), before);
    at += count;
    values.set(name, whole);
  }
}

function transposed({ shape: [rowCount, columns], data }: Tensor): Tensor {
  const result = tensor('f32', [columns, rowCount]);
  for (let r = 0; r < rowCount; r++) for (let c = 0; c < columns; c++) result.data[c * rowCount + r] = data[r * columns + c] as never;
  return result;
}
