import { CalibrantError, type Checkpoint, type OutputFolder, type PlannedTensor } from '@calibrant/core';
import type { GgmlType } from '../file/ggml-types.js';
import { GgufWriter } from '../file/gguf-writer.js';
import { type GgufLayout, layOut } from '../file/layout.js';
import type { GgufMetadata } from '../file/metadata.js';
import { partName, splitKeys } from '../file/split-names.js';
import { parseSize, planParts } from '../tools/part-plan.js';

/** Options of the format that say how a model becomes several files. */
export interface SplitChoice {
  readonly splitMaxSize?: string | undefined;
  readonly splitMaxTensors?: number | undefined;
  readonly keepSplit?: boolean | undefined;
}

type Typed = PlannedTensor & { readonly type: GgmlType };

/** A file of the output with its place for every tensor. */
export interface PartFile {
  readonly name: string;
  readonly layout: GgufLayout;
}

/**
 * The files of an output: one under the given name, or with limits (or from a source in several files, with `keepSplit`) parts as llama.cpp names them.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for `keepSplit` together with limits, or limits that make too many parts.
 */
export function partFiles(
  tensors: readonly Typed[],
  metadata: GgufMetadata,
  fileName: string,
  choice: SplitChoice,
  checkpoint: Checkpoint,
): PartFile[] {
  const parts = cut(tensors, metadata, fileName, choice, checkpoint);
  if (parts.length <= 1) return [{ name: fileName, layout: layOut(metadata, tensors, fileName) }];
  return parts.map((part, index) => {
    const name = partName(fileName.replace(/\.gguf$/, ''), index, parts.length);
    const keys = splitKeys(index, parts.length, tensors.length);
    return { name, layout: layOut(index === 0 ? new Map([...metadata, ...keys]) : keys, part, name) };
  });
}

function cut(
  tensors: readonly Typed[],
  metadata: GgufMetadata,
  fileName: string,
  { splitMaxSize, splitMaxTensors, keepSplit }: SplitChoice,
  checkpoint: Checkpoint,
): readonly (readonly Typed[])[] {
  const limited = splitMaxSize !== undefined || splitMaxTensors !== undefined;
  if (keepSplit && limited)
    throw new CalibrantError('INVALID_ARGUMENT', 'keepSplit takes the parts of the source: leave out splitMaxSize and splitMaxTensors.', {
      option: 'keepSplit',
    });
  if (keepSplit) return bySourceFile(tensors, checkpoint);
  if (!limited) return [tensors];
  const { places } = layOut(metadata, tensors, fileName);
  const sized = tensors.map((tensor) => ({ tensor, padded: places.get(tensor.name)?.padded ?? 0 }));
  const maxBytes = splitMaxSize === undefined ? {} : { maxBytes: parseSize(splitMaxSize, 'splitMaxSize') };
  const maxTensors = splitMaxTensors === undefined ? {} : { maxTensors: splitMaxTensors };
  return planParts(sized, { ...maxBytes, ...maxTensors }).map((part) => part.map(({ tensor }) => tensor));
}

/** Tensors by the file that holds their source, files in the order of their names; tensors without a source go into the first. */
function bySourceFile(tensors: readonly Typed[], checkpoint: Checkpoint): Typed[][] {
  const fileOf = ({ source, stacked }: Typed) => checkpoint.tensors.get(source ?? stacked?.[0] ?? '')?.file;
  const files = [...new Set(tensors.map(fileOf))].filter((file) => file !== undefined).sort();
  return files.map((file) => tensors.filter((tensor) => (fileOf(tensor) ?? files[0]) === file));
}

/** Writes the files of an output, tensors in any order. A file is opened for its first bytes and closed after its last, so that few are open at once. */
export function partWriter(files: readonly PartFile[], folder: OutputFolder) {
  const partOf = new Map(files.flatMap(({ layout }, index) => [...layout.places.keys()].map((name) => [name, index] as const)));
  const writers = new Map<number, Promise<GgufWriter>>();
  const finished = new Set<number>();
  const open = (index: number): Promise<GgufWriter> => {
    const found = writers.get(index);
    if (found) return found;
    const { name, layout } = files[index];
    const opened = folder.create(name, { bytes: layout.bytes }).then((sink) => new GgufWriter(sink, layout));
    writers.set(index, opened);
    return opened;
  };
  return {
    async write(name: string, start: number, bytes: Uint8Array): Promise<void> {
      const index = partOf.get(name) ?? 0;
      const writer = await open(index);
      await writer.write(name, start, bytes);
      if (writer.complete && files.length > 1 && !finished.has(index)) {
        finished.add(index);
        await writer.finish();
      }
    },
    async finish(): Promise<void> {
      for (const index of files.keys()) if (!finished.has(index)) await (await open(index)).finish();
    },
    async abort(): Promise<void> {
      for (const writer of await Promise.allSettled(writers.values())) if (writer.status === 'fulfilled') await writer.value.abort();
    },
  };
}

export type PartWriter = ReturnType<typeof partWriter>;
