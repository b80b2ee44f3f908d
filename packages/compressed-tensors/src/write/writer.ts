import {
  byteLength,
  CalibrantError,
  type Checkpoint,
  elementCount,
  type FormatInput,
  type FormatWriter,
  type OutputFolder,
  type PlannedTensor,
} from '@calibrant/core';
import type { CompressedTensorsOptions } from '../options.js';
import { bytesOf, type PackedLayer, packedLayer } from './packed-layer.js';
import { quantizationConfig } from './quantization-config.js';
import { openShards, type Shards } from './shards.js';
import { writeSideFiles } from './side-files.js';
import { type StoredTensor, storedTensor } from './stored-parts.js';

/** Starts the files of a model; see `compressedTensors`. */
export async function createWriter(
  input: FormatInput,
  plan: readonly PlannedTensor[],
  folder: OutputFolder,
  options: CompressedTensorsOptions,
): Promise<FormatWriter> {
  const { checkpoint, facts } = input;
  const copied = [...checkpoint.tensors.keys()]
    .filter((name) => !isPlannable(checkpoint, name))
    .map((name) => storedCopy(checkpoint, name));
  const stored = plan.map((planned) => storedTensor(planned, facts, options));
  const shards = await openShards(folder, [...stored, ...copied], options.maxShardBytes);
  const byName = new Map(stored.map((tensor) => [tensor.planned.name, tensor]));
  const layers = new Map<string, PackedLayer>();
  const rowsLeft = new Map(stored.map(({ planned }) => [planned.name, planned.shape[0] ?? 1]));

  return {
    async write({ name }, { rowStart, value }) {
      const tensor = byName.get(name);
      if (!tensor) throw new CalibrantError('UNKNOWN_NAME', `The tensor ${name} is not in the plan.`, { tensor: name });
      expectKind(tensor, value.kind);
      rowsLeft.set(name, (rowsLeft.get(name) as number) - (value.shape[0] ?? 1));
      const file = shards.fileOf(tensor);
      if (value.kind === 'float') {
        const rowBytes = byteLength({ dtype: value.tensor.dtype, shape: tensor.planned.shape.slice(1) });
        await file.write(tensor.parts[0], rowStart * rowBytes, bytesOf(value.tensor.data));
      } else if (value.kind === 'affine') {
        const layer = layers.get(name) ?? packedLayer(tensor, file);
        layers.set(name, layer);
        await layer.write(rowStart, value);
      }
    },
    async finish() {
      for (const [name, left] of rowsLeft)
        if (left !== 0)
          throw new CalibrantError('INVALID_ARGUMENT', `${left} rows of the tensor ${name} were not written.`, { tensor: name });
      await copyTensors(checkpoint, copied, shards);
      const ordered = new Set([...layers].filter(([, layer]) => layer.ordered).map(([name]) => name.replace(/\.weight$/, '')));
      const files = await shards.finish();
      await writeSideFiles(input, plan, folder, quantizationConfig(plan, facts, ordered));
      return files;
    },
    abort: () => shards.close(),
  };
}

/** Whether a float scheme can describe a tensor; others (integer buffers, f64, fp8) are copied as they are. */
export function isPlannable({ tensors }: Checkpoint, name: string): boolean {
  const info = tensors.get(name);
  return info?.dtype === 'f32' || info?.dtype === 'f16' || info?.dtype === 'bf16';
}

function storedCopy({ tensors }: Checkpoint, name: string): StoredTensor {
  const { dtype, shape } = tensors.get(name) as { dtype: StoredTensor['parts'][number]['dtype']; shape: readonly number[] };
  return { planned: { name, source: name, shape, scheme: { kind: 'float', dtype: 'f32' } }, parts: [{ name, dtype, shape }] };
}

/** Rows that make about 16 MiB. */
const COPY_BYTES = 2 ** 24;

async function copyTensors(checkpoint: Checkpoint, copied: readonly StoredTensor[], shards: Shards): Promise<void> {
  for (const tensor of copied) {
    const [part] = tensor.parts;
    const file = shards.fileOf(tensor);
    const rows = part.shape[0] ?? 0;
    const rowBytes = byteLength({ dtype: part.dtype, shape: part.shape.slice(1) });
    if (part.shape.length < 2 || elementCount(part.shape) === 0) {
      await file.write(part, 0, bytesOf((await checkpoint.read(part.name)).data));
      continue;
    }
    const step = Math.max(1, Math.floor(COPY_BYTES / rowBytes));
    for (let start = 0; start < rows; start += step) {
      const { data } = await checkpoint.read(part.name, { start, end: Math.min(rows, start + step) });
      await file.write(part, start * rowBytes, bytesOf(data));
    }
  }
}

function expectKind({ planned: { name, scheme } }: StoredTensor, kind: string): void {
  if (scheme.kind !== kind)
    throw new CalibrantError('INVALID_ARGUMENT', `The tensor ${name} was planned as ${scheme.kind} and came as ${kind}.`, { tensor: name });
}
