import type { ByteSource } from '@calibrant/core';
import { ggmlType } from './ggml-types.js';
import {
  ALIGNMENT_KEY,
  alignUp,
  DEFAULT_ALIGNMENT,
  type GgufFile,
  type GgufTensor,
  LONGEST_NAME,
  MAGIC,
  MOST_DIMENSIONS,
} from './gguf-file.js';
import { HeaderCursor } from './header-cursor.js';
import { ARRAY_ID, type GgufValue, type ScalarType, VALUE_TYPES } from './metadata.js';

/** The fewest bytes that a key with its value, and a tensor's description, take. */
const LEAST_ENTRY = 8 + 4 + 1;
const LEAST_TENSOR = 8 + 4 + 4 + 8;
/** Memory that a metadata entry and a tensor's description take at most, beside names and values. */
const ENTRY_COST = 320;
const TENSOR_COST = 960;

const scalarTypes = new Map<number, ScalarType>(Object.entries(VALUE_TYPES).map(([name, { id }]) => [id, name as ScalarType]));

/**
 * Reads the header of a GGUF file (version 2 or 3): metadata and where each tensor lies. The tensors' bytes are not read.
 *
 * Everything is checked before use: counts and lengths against the file's size, names for duplicates, types, shapes against blocks, and
 * offsets for alignment, overlap and the end of the file.
 *
 * @throws CalibrantError `CORRUPT_FILE` naming the file, the byte and, where there is one, the tensor; `UNSUPPORTED` for other versions.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export async function readGguf(source: ByteSource): Promise<GgufFile> {
  const cursor = new HeaderCursor(source);
  if (source.size < 4 || (await cursor.u32('the magic number')) !== MAGIC)
    throw cursor.corrupt('this is not a GGUF file: it does not begin with "GGUF".', 0);
  const version = await cursor.u32('the version');
  if (version !== 2 && version !== 3)
    throw cursor.corrupt(
      `only GGUF versions 2 and 3 are read, found ${version}${version > 0xffff && (version & 0xffff) === 0 ? ' (a big-endian file)' : ''}. Convert the model again with a current tool.`,
      4,
    );
  const tensorCount = await cursor.count('the number of tensors', Math.floor(cursor.remaining / LEAST_TENSOR));
  const entryCount = await cursor.count('the number of metadata entries', Math.floor(cursor.remaining / LEAST_ENTRY));

  const metadata = new Map<string, GgufValue>();
  const places = new Map<string, { start: number; end: number }>();
  for (let i = 0; i < entryCount; i++) {
    const start = cursor.offset;
    cursor.charge(ENTRY_COST);
    const key = await cursor.string(`the key of metadata entry ${i}`);
    if (metadata.has(key)) throw cursor.corrupt(`the metadata "${key}" is there twice.`, start);
    const valueStart = cursor.offset;
    metadata.set(key, await readValue(cursor, key));
    places.set(key, { start: valueStart, end: cursor.offset });
  }
  const alignment = readAlignment(cursor, metadata.get(ALIGNMENT_KEY));

  const described: (Omit<GgufTensor, 'offset'> & { readonly relative: number; readonly at: number })[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    cursor.charge(TENSOR_COST);
    const tensor = await readTensor(cursor, i);
    if (names.has(tensor.name)) throw cursor.corrupt(`the tensor "${tensor.name}" is there twice.`, tensor.at);
    names.add(tensor.name);
    described.push(tensor);
  }

  const dataStart = alignUp(cursor.offset, alignment);
  const tensors = new Map<string, GgufTensor>();
  for (const { relative, at, ...tensor } of described) {
    const offset = dataStart + relative;
    if (relative % alignment !== 0)
      throw cursor.corrupt(
        `tensor "${tensor.name}" begins at data byte ${relative}, which is not a multiple of the alignment ${alignment}.`,
        at,
      );
    if (offset + tensor.bytes > source.size)
      throw cursor.corrupt(
        `tensor "${tensor.name}" (${tensor.type.name} [${tensor.shape.join(', ')}]) should take bytes ${offset} to ${offset + tensor.bytes}, but the file ends at ${source.size}. It is truncated or damaged; get it again.`,
        at,
      );
    tensors.set(tensor.name, { ...tensor, offset });
  }
  checkOverlaps(cursor, tensors);
  return { name: source.name, version, alignment, metadata, places, tensors, dataStart, size: source.size };
}

async function readValue(cursor: HeaderCursor, key: string): Promise<GgufValue> {
  const start = cursor.offset;
  const id = await cursor.u32(`the type of "${key}"`);
  if (id === ARRAY_ID) {
    const of = await cursor.u32(`the element type of "${key}"`);
    const type = scalarTypes.get(of);
    if (!type)
      throw cursor.corrupt(
        `the array "${key}" has ${of === ARRAY_ID ? 'arrays as elements' : `the unknown element type ${of}`}, which cannot be read.`,
        start,
      );
    return { type: 'array', of: type, value: await cursor.array(type, `the array "${key}"`) };
  }
  const type = scalarTypes.get(id);
  if (!type) throw cursor.corrupt(`the metadata "${key}" has the unknown value type ${id}.`, start);
  return { type, value: await cursor.scalar(type, `the metadata "${key}"`) };
}

function readAlignment(cursor: HeaderCursor, found: GgufValue | undefined): number {
  if (!found) return DEFAULT_ALIGNMENT;
  const alignment = found.value;
  if (found.type !== 'u32' || typeof alignment !== 'number' || alignment < 1 || (alignment & (alignment - 1)) !== 0)
    throw cursor.corrupt(`"${ALIGNMENT_KEY}" must be a u32 power of two, found ${found.type} ${String(alignment)}.`);
  return alignment;
}

async function readTensor(cursor: HeaderCursor, index: number) {
  const at = cursor.offset;
  const name = await cursor.string(`the name of tensor ${index}`);
  if (new TextEncoder().encode(name).length > LONGEST_NAME)
    throw cursor.corrupt(`the name of tensor ${index} is longer than ${LONGEST_NAME} bytes.`, at);
  const dimensions = await cursor.u32(`the number of dimensions of tensor "${name}"`);
  if (dimensions > MOST_DIMENSIONS)
    throw cursor.corrupt(`tensor "${name}" has ${dimensions} dimensions; GGUF allows ${MOST_DIMENSIONS}.`, at);
  const shape: number[] = [];
  let elements = 1;
  for (let d = 0; d < dimensions; d++) {
    const size = await cursor.count(`dimension ${d} of tensor "${name}"`, Number.MAX_SAFE_INTEGER);
    elements *= size;
    if (size === 0 || !Number.isSafeInteger(elements))
      throw cursor.corrupt(`tensor "${name}" has an impossible shape: dimension ${d} is ${size}, ${elements} elements in all.`, at);
    shape.unshift(size);
  }
  const id = await cursor.u32(`the type of tensor "${name}"`);
  const type = ggmlType(id);
  if (!type) throw cursor.corrupt(`tensor "${name}" has the unknown type ${id}.`, at);
  const columns = shape.at(-1) ?? 1;
  if (columns % type.blockSize !== 0)
    throw cursor.corrupt(
      `tensor "${name}" has rows of ${columns} elements, which ${type.name} blocks of ${type.blockSize} do not divide.`,
      at,
    );
  const relative = await cursor.count(`the offset of tensor "${name}"`, Number.MAX_SAFE_INTEGER);
  return { name, shape, type, bytes: (elements / type.blockSize) * type.blockBytes, relative, at };
}

function checkOverlaps(cursor: HeaderCursor, tensors: ReadonlyMap<string, GgufTensor>): void {
  const ordered = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  for (const [i, next] of ordered.entries()) {
    const previous = ordered[i - 1];
    if (previous && previous.offset + previous.bytes > next.offset)
      throw cursor.corrupt(`tensors "${previous.name}" and "${next.name}" overlap.`, next.offset);
  }
}
