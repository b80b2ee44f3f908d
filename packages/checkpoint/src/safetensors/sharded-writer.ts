import { byteLength, CalibrantError, type OutputFolder } from '@calibrant/core';
import { INDEX_FILE } from './index-file.js';
import { layoutSafetensors, type NamedTensorSpec } from './layout.js';
import { createSafetensorsWriter, type SafetensorsWriter, type SafetensorsWriterOptions } from './writer.js';

export interface ShardedWriterOptions extends SafetensorsWriterOptions {
  /** Bytes of tensors per file, 5 GB if absent (as in transformers). A larger tensor gets a file of its own. */
  readonly maxShardBytes?: number;
  /** Tensors with the same group stay in one file; by its name each tensor is a group. Those of a group must follow one another. */
  readonly groupOf?: (tensor: string) => string;
}

/** A {@link SafetensorsWriter} over several files. `files` are their names. */
export interface ShardedWriter extends SafetensorsWriter {
  readonly files: readonly string[];
}

/**
 * Starts a model's weights in a folder: `model.safetensors`, or `model-00001-of-0000N.safetensors` with
 * `model.safetensors.index.json` when they are larger than `maxShardBytes`. Tensors are put into shards in the given order.
 */
export async function createShardedWriter(
  folder: OutputFolder,
  tensors: readonly NamedTensorSpec[],
  { maxShardBytes = 5e9, metadata = { format: 'pt' }, groupOf = (name) => name }: ShardedWriterOptions = {},
): Promise<ShardedWriter> {
  const groups = splitBySize(tensors, maxShardBytes, groupOf);
  const files = groups.map((_, i) => shardName(i, groups.length));
  const shardOf = new Map<string, number>();
  groups.forEach((group, i) => {
    for (const { name } of group) {
      if (shardOf.has(name)) throw new CalibrantError('DUPLICATE_NAME', `Two tensors are called "${name}".`, { tensor: name });
      shardOf.set(name, i);
    }
  });
  const writers: SafetensorsWriter[] = [];
  const close = async () => {
    await Promise.all(writers.map((writer) => writer.close()));
  };
  try {
    for (const [i, group] of groups.entries()) {
      const sink = await folder.create(files[i], { bytes: layoutSafetensors(group, metadata).totalBytes });
      writers.push(await createSafetensorsWriter(sink, group, { metadata }));
    }
  } catch (error) {
    await close();
    throw error;
  }

  return {
    files,
    async write(name, data, options) {
      const shard = shardOf.get(name);
      if (shard === undefined) throw new CalibrantError('UNKNOWN_NAME', `Tensor "${name}" was not announced.`, { tensor: name });
      await writers[shard].write(name, data, options);
    },
    async finish() {
      const present: NamedTensorSpec[] = [];
      for (const writer of writers) present.push(...(await writer.finish()));
      if (groups.length === 1) return present;
      const total = present.reduce((sum, spec) => sum + byteLength(spec), 0);
      const weightMap = present.map(({ name }) => `    ${JSON.stringify(name)}: ${JSON.stringify(files[shardOf.get(name) as number])}`);
      await folder.writeText(
        INDEX_FILE,
        `{\n  "metadata": {\n    "total_size": ${total}\n  },\n  "weight_map": {\n${weightMap.join(',\n')}\n  }\n}\n`,
      );
      return present;
    },
    close,
  };
}

function splitBySize(tensors: readonly NamedTensorSpec[], maxBytes: number, groupOf: (tensor: string) => string): NamedTensorSpec[][] {
  const sizes = new Map<string, number>();
  for (const spec of tensors) sizes.set(groupOf(spec.name), (sizes.get(groupOf(spec.name)) ?? 0) + byteLength(spec));
  const shards: NamedTensorSpec[][] = [[]];
  let held = 0;
  let last: string | undefined;
  for (const spec of tensors) {
    const group = groupOf(spec.name);
    if (group !== last) {
      const bytes = sizes.get(group) as number;
      if (held > 0 && held + bytes > maxBytes) {
        shards.push([]);
        held = 0;
      }
      held += bytes;
      last = group;
    }
    (shards.at(-1) as NamedTensorSpec[]).push(spec);
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return 'model.safetensors';
  const digits = (n: number) => String(n).padStart(5, '0');
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}
