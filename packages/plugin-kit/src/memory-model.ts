import {
  byteLength,
  type Checkpoint,
  DTYPES,
  type DType,
  type FormatInput,
  type ModelFacts,
  type OutputFolder,
  rows,
  type Tensor,
  type TensorInfo,
  type TypedArray,
} from '@calibrant/core';

/** A folder in memory, for tests of formats. */
export interface MemoryFolder extends OutputFolder {
  readonly files: Map<string, Uint8Array>;
  text(name: string): string;
  /** The tensors of all safetensors files. */
  tensors(): Map<string, Tensor>;
}

export function memoryFolder(): MemoryFolder {
  const files = new Map<string, Uint8Array>();
  return {
    files,
    text: (name) => new TextDecoder().decode(files.get(name)),
    tensors: () =>
      new Map([...files].filter(([name]) => name.endsWith('.safetensors')).flatMap(([, bytes]) => [...parseSafetensors(bytes)])),
    async create(name) {
      files.set(name, new Uint8Array(0));
      return {
        name,
        async write(offset, bytes) {
          const old = files.get(name) as Uint8Array;
          const grown = old.length >= offset + bytes.length ? old : new Uint8Array(offset + bytes.length);
          if (grown !== old) grown.set(old);
          grown.set(bytes, offset);
          files.set(name, grown);
        },
        async close() {},
      };
    },
    async writeText(name, text) {
      files.set(name, new TextEncoder().encode(text));
    },
  };
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/** The tensors of a safetensors file by the format's own rules: header length, JSON, data without gaps, each tensor aligned to its elements. Throws where they are broken. */
export function parseSafetensors(file: Uint8Array): Map<string, Tensor> {
  // A Node Buffer's `slice` would not copy.
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (length % 8 !== 0) throw new Error(`the header has ${length} bytes, not a multiple of 8`);
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  const { __metadata__: metadata, ...entries } = header as Record<string, Entry> & { __metadata__: unknown };
  if (JSON.stringify(metadata) !== '{"format":"pt"}') throw new Error('no format in the metadata');
  const tensors = new Map<string, Tensor>();
  let end = 0;
  for (const [name, entry] of Object.entries(entries).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0])) {
    const [dtype, info] = Object.entries(DTYPES).find(([, { safetensors }]) => safetensors === entry.dtype) as [
      DType,
      (typeof DTYPES)['f32'],
    ];
    if (entry.data_offsets[0] !== end) throw new Error(`a gap before ${name}`);
    if (end % info.bytes !== 0) throw new Error(`${name} is not aligned`);
    end = entry.data_offsets[1];
    const data = new info.array(bytes.slice(8 + length + entry.data_offsets[0], 8 + length + end).buffer) as TypedArray;
    tensors.set(name, { dtype, shape: entry.shape, data });
  }
  if (8 + length + end !== file.length) throw new Error('bytes behind the last tensor');
  return tensors;
}

/** A checkpoint of tensors in memory. */
export function memoryCheckpoint(
  tensors: ReadonlyMap<string, Tensor>,
  config: Record<string, unknown> = {},
  texts: Record<string, string> = {},
): Checkpoint {
  const infos = [...tensors].map(([name, value]): [string, TensorInfo] => [
    name,
    { name, dtype: value.dtype, shape: value.shape, bytes: byteLength(value), file: 'model.safetensors' },
  ]);
  return {
    name: 'memory',
    config,
    tensors: new Map(infos),
    files: Object.keys(texts),
    text: async (file) => texts[file],
    async read(name, range) {
      const value = tensors.get(name) as Tensor;
      return range ? rows(value, range.start, range.end) : value;
    },
    async close() {},
  };
}

/** Opens what a format wrote into a memory folder. */
export function writtenCheckpoint(folder: MemoryFolder): Checkpoint {
  const texts = Object.fromEntries(
    [...folder.files.keys()].filter((name) => !name.endsWith('.safetensors')).map((name) => [name, folder.text(name)]),
  );
  return memoryCheckpoint(folder.tensors(), JSON.parse(texts['config.json']), texts);
}

/** What a format gets to know of a checkpoint whose linear layers have these weights. */
export function formatInput(checkpoint: Checkpoint, linears: readonly string[]): FormatInput {
  const facts: ModelFacts = { config: checkpoint.config, architecture: 'test', tensors: checkpoint.tensors, linears: new Set(linears) };
  return { checkpoint, facts, recipe: { version: 'v1', quantizer: { name: 'rtn' } } };
}
