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
import type { NamedTensorSpec } from '../safetensors/layout.js';
import { createShardedWriter, type ShardedWriter } from '../safetensors/sharded-writer.js';
import type { ModelLayout, PartWriter, StoredWeight } from './model-layout.js';
import { isPlannable } from './plain-tensors.js';
import { writeSideFiles } from './side-files.js';

/**
 * Writes a model as a folder in Hugging Face's layout: weights in `model.safetensors` or in shards with an index, `config.json`, tokenizer, chat
 * template and generation settings of the source. Float tensors are stored as they come and what a float scheme cannot describe is copied; how
 * quantized weights are stored is the format's: `store` gives each its parts, or throws for what has no place.
 *
 * @throws CalibrantError what `store` throws, before anything is written.
 */
export async function createModelWriter(
  input: FormatInput,
  plan: readonly PlannedTensor[],
  folder: OutputFolder,
  layout: ModelLayout,
  store: (planned: PlannedTensor) => StoredWeight,
): Promise<FormatWriter> {
  const { checkpoint } = input;
  const copied = [...checkpoint.tensors.values()].filter(({ name }) => !isPlannable(checkpoint, name));
  const weights = new Map<string, StoredWeight>();
  const rowsLeft = new Map<string, number>();
  const homes = new Map<string, string>();
  const specs: NamedTensorSpec[] = [];
  for (const planned of plan) {
    const { name, shape, scheme } = planned;
    const stored: StoredWeight = scheme.kind === 'float' ? plain(name, { dtype: scheme.dtype, shape }) : store(planned);
    weights.set(name, stored);
    rowsLeft.set(name, shape[0] ?? 1);
    specs.push(...stored.parts);
    for (const part of stored.parts) homes.set(part.name, name);
  }
  specs.push(...copied.map(({ name, dtype, shape }) => ({ name, dtype, shape })));
  specs.push(...(layout.extra ?? []).map((spec) => ({ ...spec, optional: true })));
  const files = await createShardedWriter(folder, specs, {
    maxShardBytes: layout.maxShardBytes,
    groupOf: (name) => homes.get(name) ?? name,
  });
  const parts: PartWriter = { write: (name, data, row = 0) => files.write(name, data, { row }) };

  return {
    async write({ name, scheme }, { rowStart, value }) {
      const stored = weights.get(name);
      if (!stored) throw new CalibrantError('UNKNOWN_NAME', `The tensor ${name} is not in the plan.`, { tensor: name });
      if (scheme.kind !== value.kind)
        throw new CalibrantError('INVALID_ARGUMENT', `The tensor ${name} was planned as ${scheme.kind} and came as ${value.kind}.`, {
          tensor: name,
        });
      await stored.write(rowStart, value, parts);
      rowsLeft.set(name, (rowsLeft.get(name) as number) - (value.shape[0] ?? 1));
    },
    async writeActivation(of, grid) {
      await layout.writeActivation?.(of, grid, parts);
    },
    async finish() {
      for (const [name, left] of rowsLeft)
        if (left !== 0)
          throw new CalibrantError('INVALID_ARGUMENT', `${left} rows of the tensor ${name} were not written.`, { tensor: name });
      await copyTensors(checkpoint, copied, files);
      await files.finish();
      await writeSideFiles(input, plan, folder, layout.describe());
      return files.files;
    },
    abort: () => files.close(),
  };
}

function plain(name: string, spec: Pick<NamedTensorSpec, 'dtype' | 'shape'>): StoredWeight {
  return {
    parts: [{ name, ...spec }],
    async write(rowStart, value, to) {
      if (value.kind !== 'float') throw new TypeError(`${name} is no float tensor`);
      await to.write(name, value.tensor, rowStart);
    },
  };
}

/** Rows that make about 16 MiB. */
const COPY_BYTES = 2 ** 24;

async function copyTensors(checkpoint: Checkpoint, copied: readonly NamedTensorSpec[], files: ShardedWriter): Promise<void> {
  for (const { name, dtype, shape } of copied) {
    const rows = shape[0] ?? 0;
    if (shape.length < 2 || elementCount(shape) === 0) {
      await files.write(name, await checkpoint.read(name));
      continue;
    }
    const step = Math.max(1, Math.floor(COPY_BYTES / byteLength({ dtype, shape: shape.slice(1) })));
    for (let start = 0; start < rows; start += step)
      await files.write(name, await checkpoint.read(name, { start, end: Math.min(rows, start + step) }), { row: start });
  }
}
