import { type OutputFolder, type RunOptions, throwIfAborted } from '@calibrant/core';
import { GgufWriter } from '../file/gguf-writer.js';
import { layOut } from '../file/layout.js';
import type { HeaderMetadata } from '../file/metadata.js';
import type { GgufModel, GgufModelTensor } from '../file/read-model.js';

const CHUNK = 8 * 2 ** 20;

/** A file that a tool wrote. */
export interface WrittenGguf {
  readonly name: string;
  readonly bytes: number;
  readonly tensors: number;
}

/** A file to be written with tensors of a model as they are. */
export interface PlannedCopy {
  readonly name: string;
  readonly metadata: HeaderMetadata;
  readonly tensors: readonly GgufModelTensor[];
}

/** A model's metadata with strings as their bytes: text that is no valid UTF-8 would not survive being read. */
export async function exactMetadata({ parts: [{ file, source }], metadata }: GgufModel): Promise<HeaderMetadata> {
  const exact = new Map<string, { type: 'encoded'; value: Uint8Array }>();
  for (const [key, entry] of metadata) {
    const place = file.places.get(key);
    if (place && (entry.type === 'string' || (entry.type === 'array' && entry.of === 'string')))
      exact.set(key, { type: 'encoded', value: await source.read(place.start, place.end - place.start) });
  }
  return new Map([...metadata].map(([key, entry]) => [key, exact.get(key) ?? entry]));
}

/** Writes files one after the other, piece by piece. All layouts are made, and the disk's space is asked for, before much is written. */
export async function copyTensors(
  files: readonly PlannedCopy[],
  folder: OutputFolder,
  { phase, onEvent, signal }: RunOptions & { readonly phase: string },
): Promise<WrittenGguf[]> {
  const planned = files.map((file) => ({ ...file, layout: layOut(file.metadata, file.tensors, file.name) }));
  const total = planned.reduce((sum, { tensors }) => sum + tensors.reduce((bytes, tensor) => bytes + tensor.bytes, 0), 0);
  let done = 0;
  for (const { name, tensors, layout } of planned) {
    const writer = new GgufWriter(await folder.create(name, { bytes: layout.bytes }), layout);
    try {
      for (const tensor of tensors)
        for (let start = 0; start < tensor.bytes; start += CHUNK) {
          throwIfAborted(signal);
          const length = Math.min(CHUNK, tensor.bytes - start);
          await writer.write(tensor.name, start, await tensor.source.read(tensor.offset + start, length));
          done += length;
          onEvent?.({ phase, done, total, unit: 'bytes', item: name });
        }
      await writer.finish();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }
  return planned.map(({ name, tensors, layout }) => ({ name, bytes: layout.bytes, tensors: tensors.length }));
}
