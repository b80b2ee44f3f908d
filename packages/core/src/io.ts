import type { ExecutionPlan } from './activation-scheme.js';
import type { DType } from './dtype.js';
import type { QuantizedTensor, TensorScheme } from './scheme.js';
import type { Tensor, TensorSpec } from './tensor.js';

/** Bytes that can be read at any position: a file, a remote object, a buffer. */
export interface ByteSource {
  /** For messages: a path or URL. */
  readonly name: string;
  readonly size: number;
  /** Reads exactly `length` bytes; rejects with `CORRUPT_FILE` when the source ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Opens another file of the same folder: the further parts of a split model. Absent where there is no folder. */
  sibling?(name: string): Promise<ByteSource>;
  close(): Promise<void>;
}

/** Bytes that are written at any position and become a file. */
export interface ByteSink {
  readonly name: string;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Where a format writes its files. The pipeline makes the folder appear under its final name only when all is complete. */
export interface OutputFolder {
  /** Starts a file. With `bytes`, its final size, a disk that is too small is refused at once. */
  create(name: string, options?: { readonly bytes?: number }): Promise<ByteSink>;
  writeText(name: string, text: string): Promise<void>;
}

export interface TensorInfo extends TensorSpec {
  readonly name: string;
  /** How the tensor is stored when that is not its dtype: `q4_K`, `pack-quantized int4`. */
  readonly storage?: string;
  /** The grid that it is stored on, where `Checkpoint.readCoded` gives its codes. */
  readonly coded?: CodedInfo;
  /** Bytes on disk. */
  readonly bytes: number;
  readonly file: string;
}

/** What is known of a tensor's codes before they are read. */
export interface CodedInfo {
  readonly scheme: TensorScheme;
  /** In which its scales are stored. */
  readonly scaleDtype: DType;
  /** Whether its groups are not contiguous (GPTQ's act-order): its codes come with a `groupIndex`. */
  readonly ordered?: boolean;
}

/** Named tensors + config + side files, read lazily. Tensor names are Hugging Face's; quantized tensors read as f32. */
export interface Checkpoint {
  /** A path or Hub id, for messages. */
  readonly name: string;
  /** `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Reads a tensor or a range of its rows in its stored dtype (f32 when the storage is quantized). */
  read(name: string, range?: { readonly start: number; readonly end: number }): Promise<Tensor>;
  /** The codes and scales of a tensor whose info says `coded`, or of a range of its rows: what `read` would decode. */
  readCoded?(name: string, range?: { readonly start: number; readonly end: number }): Promise<QuantizedTensor>;
  /** A side file (`tokenizer.json`, …) as text, or undefined when there is none. */
  text(file: string): Promise<string | undefined>;
  /** A side file as bytes (`tokenizer.model`), or undefined when there is none. Absent where all side files are texts. */
  bytes?(file: string): Promise<Uint8Array | undefined>;
  /** The names of the side files. */
  readonly files: readonly string[];
  /** How its quantization means it to be run: grids of activations and of cached keys and values. */
  readonly execution?: ExecutionPlan;
  close(): Promise<void>;
}
