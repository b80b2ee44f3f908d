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
} from '@calibrant/core';

/** Reads a tensor (or some of its rows) into an f32 buffer that every lane sees. */
export async function loadWeight(
  backend: Backend,
  checkpoint: Checkpoint,
  name: string,
  range?: { readonly start: number; readonly end: number },
): Promise<BufferHandle> {
  return toF32Buffer(backend, await readFloat(checkpoint, name, range));
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
