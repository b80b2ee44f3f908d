import { type ByteSink, type ByteSource, CalibrantError, type ImportanceEntry, type ImportanceMatrix } from '@calibrant/core';
import { BLOCK_TYPES } from '../blocks/block-types.js';
import type { GgufFile, GgufTensor } from '../file/gguf-file.js';
import { GgufWriter } from '../file/gguf-writer.js';
import { layOut } from '../file/layout.js';
import { type GgufValue, metadataReader, value } from '../file/metadata.js';
import { readGguf } from '../file/read-gguf.js';

const SUMS = '.in_sum2';
const COUNTS = '.counts';

/**
 * Reads the GGUF layout: per weight `<weight>.in_sum2` `[experts, columns]` and `<weight>.counts` `[experts, 1]`, F32.
 *
 * @throws CalibrantError `CORRUPT_FILE` for another kind of GGUF file, for a sum without its counts, and for sizes that do not fit.
 */
export async function readImatrixGguf(source: ByteSource): Promise<ImportanceMatrix> {
  const file = await readGguf(source);
  const metadata = metadataReader(file.name, file.metadata);
  const kind = metadata.string('general.type');
  if (kind !== 'imatrix') throw corrupt(file, `"general.type" must be "imatrix", found ${kind === undefined ? 'none' : `"${kind}"`}`);
  const entries = new Map<string, ImportanceEntry>();
  for (const tensor of file.tensors.values()) {
    if (!tensor.name.endsWith(SUMS)) continue;
    const name = tensor.name.slice(0, -SUMS.length);
    const counts = file.tensors.get(name + COUNTS);
    if (!counts) throw corrupt(file, `the tensor "${name}${COUNTS}" is missing`, tensor);
    entries.set(name, await readEntry(source, file, tensor, counts));
  }
  if (entries.size === 0) throw corrupt(file, `there is no tensor that ends in "${SUMS}"`);
  return {
    entries,
    datasets: metadata.strings('imatrix.datasets') ?? [],
    chunks: metadata.number('imatrix.chunk_count') ?? 0,
    chunkSize: metadata.number('imatrix.chunk_size') ?? 0,
  };
}

async function readEntry(source: ByteSource, file: GgufFile, sums: GgufTensor, counts: GgufTensor): Promise<ImportanceEntry> {
  const entry = { sums: await readFloats(source, file, sums), counts: await readFloats(source, file, counts) };
  // Axes of size 1 at the front are not stored.
  const experts = sums.shape.length === 1 ? 1 : sums.shape[0];
  if (entry.counts.length !== experts)
    throw corrupt(file, `it has ${experts} rows, and "${counts.name}" has ${entry.counts.length} values`, sums);
  return entry;
}

async function readFloats(source: ByteSource, file: GgufFile, tensor: GgufTensor): Promise<Float64Array> {
  if (tensor.type.name !== 'F32') throw corrupt(file, `it must be F32, found ${tensor.type.name}`, tensor);
  const bytes = await source.read(tensor.offset, tensor.bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function corrupt(file: GgufFile, found: string, tensor?: GgufTensor): CalibrantError {
  return new CalibrantError(
    'CORRUPT_FILE',
    `${file.name} is no importance matrix${tensor ? `: tensor "${tensor.name}" at byte ${tensor.offset}` : ''}: ${found}.`,
    { file: file.name, ...(tensor ? { tensor: tensor.name, offset: tensor.offset } : {}) },
  );
}

/** Writes the GGUF layout, weights in the order of their names, as llama-imatrix does. */
export async function writeImatrixGguf(matrix: ImportanceMatrix, sink: ByteSink): Promise<void> {
  const metadata = new Map<string, GgufValue>([
    ['general.type', value.string('imatrix')],
    ['imatrix.datasets', value.strings(matrix.datasets)],
    ['imatrix.chunk_count', value.u32(matrix.chunks)],
    ['imatrix.chunk_size', value.u32(matrix.chunkSize)],
  ]);
  const ordered = [...matrix.entries].sort(([a], [b]) => (a < b ? -1 : 1));
  const tensors = ordered.flatMap(([name, { sums, counts }]) => {
    const experts = counts.length;
    const columns = sums.length / experts;
    return [
      { name: name + SUMS, shape: experts === 1 ? [columns] : [experts, columns], values: sums },
      { name: name + COUNTS, shape: experts === 1 ? [1] : [experts, 1], values: counts },
    ];
  });
  const layout = layOut(
    metadata,
    tensors.map((tensor) => ({ ...tensor, type: BLOCK_TYPES.F32 })),
    sink.name,
  );
  const writer = new GgufWriter(sink, layout);
  for (const { name, values } of tensors) await writer.write(name, 0, floatBytes(values));
  await writer.finish();
}

/** Little-endian f32. */
export function floatBytes(values: Float64Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((of, i) => {
    view.setFloat32(4 * i, of, true);
  });
  return new Uint8Array(view.buffer);
}
