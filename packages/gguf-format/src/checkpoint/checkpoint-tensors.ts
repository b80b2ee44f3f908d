import { type Backend, CalibrantError, type Tensor, tensor, toF32 } from '@calibrant/core';
import type { GgufModel, GgufModelTensor } from '../file/read-model.js';
import type { GgufArchitecture } from '../models/architecture.js';
import { type Arranged, arrange } from '../models/arrangement.js';
import { type Json, type ModelConfig, readModelConfig } from '../models/model-config.js';
import { FACTOR_TENSORS } from '../models/rope-factors.js';
import { type Origin, tensorNames } from '../models/tensor-names.js';
import { readRows } from './read-rows.js';

/** A tensor of the checkpoint within a file. */
export interface StoredTensor {
  /** In the checkpoint. */
  readonly shape: readonly number[];
  /** The tensor of the file, or the part of it that this one is. */
  readonly tensor: GgufModelTensor;
  readonly arranged: Arranged;
}

/**
 * The tensors of the checkpoint that a file was made of, by name: stacked ones one by one.
 *
 * @throws CalibrantError `UNSUPPORTED` for tensors that no checkpoint of the architecture has.
 */
export function checkpointTensors(file: GgufModel, architecture: GgufArchitecture, raw: Json): Map<string, StoredTensor> {
  const names = tensorNames(architecture, raw);
  const config = readModelConfig(raw, architecture, file.name);
  const stored = new Map<string, StoredTensor>();
  for (const found of file.tensors.values()) {
    if (FACTOR_TENSORS.includes(found.name)) continue;
    const origin = names.origin(found.name);
    if (!origin)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${file.name}: tensor "${found.name}" has no place in a checkpoint of architecture ${architecture.name}.`,
        { file: file.name, tensor: found.name },
      );
    for (const [name, part] of parts(found, origin)) stored.set(name, storedTensor(part, origin, config, file.name));
  }
  return stored;
}

/** A tensor under its name in the checkpoint, or each of those that are stacked in it. */
function parts(found: GgufModelTensor, { source }: Origin): [string, GgufModelTensor][] {
  if (!source.includes('#')) return [[source, found]];
  const [count, ...shape] = found.shape;
  const bytes = found.bytes / count;
  return Array.from({ length: count }, (_, i) => [
    source.replace('#', String(i)),
    { ...found, shape, bytes, offset: found.offset + i * bytes },
  ]);
}

function storedTensor(found: GgufModelTensor, { as, source }: Origin, config: ModelConfig, file: string): StoredTensor {
  // The arrangement of the file's shape: transposing and flattening are undone below, the others keep the shape.
  const arranged = arrange(as === 'flat' ? undefined : as, found.shape, config, source, file);
  if (as !== 'flat') return { shape: arranged.shape, tensor: found, arranged };
  // A vector, or a matrix of one row in files of llama.cpp's converter.
  const row = { ...found, shape: [1, found.shape.reduce((product, size) => product * size, 1)] };
  return { shape: row.shape, tensor: row, arranged };
}

/** Rows `[start, end)` of a tensor (elements of a vector) as the checkpoint has them. */
export async function readCheckpointRows(
  backend: Backend,
  { tensor: stored, arranged }: StoredTensor,
  range: { readonly start: number; readonly end: number },
): Promise<Tensor> {
  if (arranged.transposed) return transposedRows(backend, stored, range);
  const read = await readRows(stored.source, backend, stored, range, arranged.rowOrder?.order);
  const { add } = arranged;
  if (add === undefined) return read;
  return tensor(
    'f32',
    read.shape,
    toF32(read).map((element) => element - add),
  );
}

/** Rows of a matrix that the file holds transposed, from all of it. */
async function transposedRows(
  backend: Backend,
  stored: GgufModelTensor,
  { start, end }: { readonly start: number; readonly end: number },
): Promise<Tensor> {
  const [outputs, inputs] = stored.shape;
  if (!(start >= 0 && start <= end && end <= inputs))
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${stored.source.name}: rows ${start} to ${end} are outside the ${inputs} rows that "${stored.name}" has in a checkpoint.`,
      { file: stored.source.name, tensor: stored.name },
    );
  const whole = await readRows(stored.source, backend, stored, { start: 0, end: outputs });
  const result = tensor(whole.dtype, [end - start, outputs]);
  for (let output = 0; output < outputs; output++)
    for (let row = start; row < end; row++) result.data[(row - start) * outputs + output] = whole.data[output * inputs + row] as never;
  return result;
}
