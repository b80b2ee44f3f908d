import {
  type Backend,
  type BufferHandle,
  CalibrantError,
  type Checkpoint,
  convert,
  dtypeInfo,
  type Tensor,
  tensor,
  toF32,
  transpose,
} from '@calibrant/core';
import { type StoredPart, storedParts, type WeightRef } from '../description.js';

/** Reads a weight into an f32 buffer of its shape that every lane sees, however the checkpoint stores it. */
export async function loadWeight(backend: Backend, checkpoint: Checkpoint, weight: WeightRef): Promise<BufferHandle> {
  const { name, stored } = weight;
  if (stored === undefined) return toF32Buffer(backend, await readFloat(checkpoint, name));
  if (stored !== 'transposed') return backend.upload(await readParts(checkpoint, weight));
  const x = await toF32Buffer(backend, await readFloat(checkpoint, name));
  const { y } = backend.run(transpose, { x }, {});
  backend.free(x);
  return y;
}

/** Reads several weights, by name. Frees what it has read when one cannot be. */
export async function loadWeights(
  backend: Backend,
  checkpoint: Checkpoint,
  weights: readonly WeightRef[],
): Promise<Map<string, BufferHandle>> {
  const loaded = new Map<string, BufferHandle>();
  try {
    for (const weight of weights) loaded.set(weight.name, await loadWeight(backend, checkpoint, weight));
  } catch (error) {
    backend.free(...loaded.values());
    throw error;
  }
  return loaded;
}

async function readParts(checkpoint: Checkpoint, weight: WeightRef): Promise<Tensor> {
  const whole = tensor('f32', weight.shape);
  let at = 0;
  for (const part of storedParts(weight)) {
    const values = toF32(await readFloat(checkpoint, part.name, rangeOf(part)));
    (whole.data as Float32Array).set(values, at);
    at += values.length;
  }
  return whole;
}

function rangeOf({ shape, skipRows }: StoredPart): { start: number; end: number } | undefined {
  return skipRows === undefined ? undefined : { start: skipRows, end: shape[0] };
}

/** Reads a tensor and makes sure that it holds floats. */
export async function readFloat(
  checkpoint: Checkpoint,
  name: string,
  range?: { readonly start: number; readonly end: number },
): Promise<Tensor> {
  const value = await checkpoint.read(name, range);
  if (!dtypeInfo(value.dtype).float)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name}: ${name} is stored as ${value.dtype}; weights must be floats. The checkpoint may be quantized already.`,
      { tensor: name },
    );
  return value;
}

async function toF32Buffer(backend: Backend, value: Tensor): Promise<BufferHandle> {
  if (value.dtype === 'f32') return backend.upload(value);
  if (value.shape.length !== 2) return backend.upload(tensor('f32', value.shape, toF32(value)));
  const stored = await backend.upload(value);
  const { y } = backend.run(convert, { x: stored }, { to: 'f32' });
  backend.free(stored);
  return y;
}
