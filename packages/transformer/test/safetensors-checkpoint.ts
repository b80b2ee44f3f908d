import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Checkpoint, type DType, dtypeInfo, rows, type Tensor, type TensorInfo, tensor } from '@calibrant/core';

const DTYPES: Record<string, DType> = { F32: 'f32', BF16: 'bf16', I32: 'i32', I64: 'i64' };

/** A plain second reader of safetensors, so that this package's tests stand alone. */
export function readSafetensors(file: string): Map<string, Tensor> {
  const bytes = readFileSync(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString('utf8')) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const dtype = DTYPES[entry.dtype];
    const [start, end] = entry.data_offsets.map((offset) => offset + 8 + headerLength);
    const copy = new Uint8Array(bytes.subarray(start, end)).buffer;
    tensors.set(name, tensor(dtype, entry.shape, new (dtypeInfo(dtype).array as new (data: ArrayBuffer) => Float32Array)(copy)));
  }
  return tensors;
}

/** A checkpoint over tensors in memory, with side files by name. */
export function memoryCheckpoint(
  name: string,
  config: Record<string, unknown>,
  tensors: ReadonlyMap<string, Tensor>,
  texts: Readonly<Record<string, string>> = {},
): Checkpoint & { reads: string[] } {
  const info = new Map<string, TensorInfo>();
  for (const [key, { dtype, shape, data }] of tensors)
    info.set(key, { name: key, dtype, shape, bytes: data.byteLength, file: 'model.safetensors' });
  const reads: string[] = [];
  return {
    name,
    config,
    tensors: info,
    files: Object.keys(texts),
    reads,
    async read(key, range) {
      reads.push(key);
      const value = tensors.get(key);
      if (!value) throw new Error(`no tensor ${key}`);
      return range ? rows(value, range.start, range.end) : value;
    },
    text: async (file) => texts[file],
    close: async () => {},
  };
}

/** Opens a model folder with one weight file. */
export function openFolder(folder: string): Checkpoint & { reads: string[] } {
  const texts: Record<string, string> = {};
  for (const file of readdirSync(folder)) if (/\.(json|jinja)$/.test(file)) texts[file] = readFileSync(path.join(folder, file), 'utf8');
  return memoryCheckpoint(folder, JSON.parse(texts['config.json']), readSafetensors(path.join(folder, 'model.safetensors')), texts);
}
