import type { GgmlType } from './ggml-types.js';
import type { GgufMetadata } from './metadata.js';

/** One tensor of a file. */
export interface GgufTensor {
  readonly name: string;
  /** Row-major, `[out, in]`: the file's order reversed. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
  /** Position of the first byte in the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** The header of a GGUF file. */
export interface GgufFile {
  /** The source's name, for messages. */
  readonly name: string;
  readonly version: 2 | 3;
  readonly alignment: number;
  /** In the file's order. */
  readonly metadata: GgufMetadata;
  /** Where the value of each key (type and contents) lies in the file. */
  readonly places: ReadonlyMap<string, { readonly start: number; readonly end: number }>;
  /** Position of the first byte behind the header and its padding. */
  readonly dataStart: number;
  /** Bytes of the file. */
  readonly size: number;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

export const MAGIC = 0x46554747;
export const DEFAULT_ALIGNMENT = 32;
export const ALIGNMENT_KEY = 'general.alignment';
/** The bytes of a tensor's name in the file, less the zero that ggml keeps in memory. */
export const LONGEST_NAME = 63;
export const MOST_DIMENSIONS = 4;

export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
