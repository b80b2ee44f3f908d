import { type ByteSource, CalibrantError } from '@calibrant/core';
import type { GgufFile, GgufTensor } from './gguf-file.js';
import { type GgufMetadata, metadataReader } from './metadata.js';
import { readGguf } from './read-gguf.js';
import { MOST_PARTS, parsePartName, partName, SPLIT_COUNT, SPLIT_KEYS, SPLIT_NO, SPLIT_TENSORS } from './split-names.js';

/** A tensor with the file that holds its bytes. */
export interface GgufModelTensor extends GgufTensor {
  readonly source: ByteSource;
}

/** One file of a model. */
export interface GgufPart {
  readonly file: GgufFile;
  readonly source: ByteSource;
}

/** A model of one file or of several parts. */
export interface GgufModel {
  /** The name of the source that was opened, for messages. */
  readonly name: string;
  /** Of the first part, which has all of it; without the keys of splitting. */
  readonly metadata: GgufMetadata;
  /** In their order; one for a model that is not split. */
  readonly parts: readonly GgufPart[];
  /** Of all parts, in their order. */
  readonly tensors: ReadonlyMap<string, GgufModelTensor>;
  /** Closes the sources of all parts. */
  close(): Promise<void>;
}

/**
 * Reads the headers of a model. Any part of a split model (`NAME-00001-of-00003.gguf`) opens all of it; the others are found beside it.
 *
 * @throws CalibrantError as {@link readGguf} does; `NOT_FOUND` for a part that is missing; `CORRUPT_FILE` for parts that do not belong together. The
 * source stays open then.
 */
export async function readGgufModel(source: ByteSource): Promise<GgufModel> {
  const file = await readGguf(source);
  const opened = { file, source };
  const { count, index } = splitOf(file);
  const parts = count > 1 ? await openParts(opened, index, count) : [opened];
  try {
    return modelOf(source.name, parts);
  } catch (error) {
    await closeOthers(parts, source);
    throw error;
  }
}

function splitOf({ name, metadata }: GgufFile): { count: number; index: number; tensors: number | undefined } {
  const reader = metadataReader(name, metadata);
  const count = reader.number(SPLIT_COUNT) ?? 1;
  const index = reader.number(SPLIT_NO) ?? 0;
  // llama.cpp leaves a count of 0 in files that it merged.
  if (count <= 1) return { count: 1, index: 0, tensors: undefined };
  if (!(Number.isInteger(count) && count <= MOST_PARTS && Number.isInteger(index) && index >= 0 && index < count))
    throw new CalibrantError('CORRUPT_FILE', `${name}: "${SPLIT_NO}" ${index} and "${SPLIT_COUNT}" ${count} cannot be a part of a model.`, {
      file: name,
    });
  return { count, index, tensors: reader.number(SPLIT_TENSORS) };
}

async function openParts(opened: GgufPart, index: number, count: number): Promise<GgufPart[]> {
  const { source } = opened;
  const parts: GgufPart[] = [];
  try {
    for (let i = 0; i < count; i++)
      parts.push(i === index ? opened : await openPart(source, siblingName(source, index, count, i), i, count));
    return parts;
  } catch (error) {
    await closeOthers(parts, source);
    throw error;
  }
}

/** The name of another part, from the name of the one that was opened. */
function siblingName(source: ByteSource, index: number, count: number, wanted: number): string {
  const base = /[^/\\]*$/.exec(source.name.replace(/[?#].*$/s, ''))?.[0] ?? '';
  const named = parsePartName(base);
  if (!source.sibling || named?.index !== index || named.count !== count)
    throw new CalibrantError(
      'NOT_FOUND',
      source.sibling
        ? `${source.name} is part ${index + 1} of ${count} of a model, but its name does not end in "${partName('', index, count)}", so that the other parts cannot be found. Give it that name again.`
        : `${source.name} is part ${index + 1} of ${count} of a model, and the other parts cannot be reached from it. Open it by its path or URL.`,
      { file: source.name },
    );
  return partName(named.prefix, wanted, count);
}

async function openPart(first: ByteSource, name: string, index: number, count: number): Promise<GgufPart> {
  const source = await first.sibling?.(name).catch((cause: unknown) => {
    if (!CalibrantError.isInstance(cause) || cause.code !== 'NOT_FOUND') throw cause;
    throw new CalibrantError(
      'NOT_FOUND',
      `${first.name} is one of ${count} parts of a model, and part ${index + 1}, ${name}, is missing. Put all parts into one folder.`,
      { file: name, cause },
    );
  });
  if (!source) throw new CalibrantError('NOT_FOUND', `${first.name}: part ${name} cannot be opened.`, { file: name });
  try {
    const file = await readGguf(source);
    const found = splitOf(file);
    if (found.count !== count || found.index !== index)
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${source.name} says that it is part ${found.index + 1} of ${found.count}; by its name it is part ${index + 1} of ${count}. The parts do not belong together.`,
        { file: source.name },
      );
    return { file, source };
  } catch (error) {
    await source.close();
    throw error;
  }
}

function modelOf(name: string, parts: readonly GgufPart[]): GgufModel {
  const tensors = new Map<string, GgufModelTensor>();
  for (const { file, source } of parts)
    for (const tensor of file.tensors.values()) {
      const twin = tensors.get(tensor.name);
      if (twin)
        throw new CalibrantError('CORRUPT_FILE', `Tensor "${tensor.name}" is both in ${twin.source.name} and in ${source.name}.`, {
          file: source.name,
          tensor: tensor.name,
        });
      tensors.set(tensor.name, { ...tensor, source });
    }
  for (const { file } of parts) {
    const total = splitOf(file).tensors;
    if (total !== undefined && total !== tensors.size)
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${file.name}: the model has ${total} tensors by "${SPLIT_TENSORS}", but its ${parts.length} parts hold ${tensors.size}. Get the parts again.`,
        { file: file.name },
      );
  }
  return {
    name,
    metadata: new Map([...parts[0].file.metadata].filter(([key]) => !SPLIT_KEYS.includes(key))),
    parts,
    tensors,
    close: async () => {
      await Promise.all(parts.map(({ source }) => source.close()));
    },
  };
}

async function closeOthers(parts: readonly GgufPart[], source: ByteSource): Promise<void> {
  await Promise.all(parts.filter((part) => part.source !== source).map((part) => part.source.close()));
}
