import type { GgufValue, Scalar } from '../file/metadata.js';
import type { GgufModel } from '../file/read-model.js';

/** A value that JSON can hold: integers beyond 2⁵³ and numbers that are not finite are strings. */
export type PlainValue = number | string | boolean | readonly PlainValue[];

export interface DumpedKey {
  readonly key: string;
  /** `u32`, `string`, `string[]`, … */
  readonly type: string;
  /** The first elements of a long array, the first characters of a long string. */
  readonly value: PlainValue;
  /** Elements or characters in the file, where `value` holds fewer. */
  readonly length?: number;
}

export interface DumpedTensor {
  readonly name: string;
  readonly type: string;
  /** Row-major, `[out, in]`. */
  readonly shape: readonly number[];
  /** Of the first byte, in its file. */
  readonly offset: number;
  readonly bytes: number;
  readonly file: string;
}

export interface GgufDump {
  readonly files: readonly {
    readonly name: string;
    readonly version: number;
    readonly alignment: number;
    readonly bytes: number;
    readonly tensors: number;
  }[];
  readonly metadata: readonly DumpedKey[];
  readonly tensors: readonly DumpedTensor[];
}

export interface DumpOptions {
  /** Elements of an array that are shown; 6 unless set. */
  readonly elements?: number;
  /** Characters of a string that are shown; 120 unless set. */
  readonly characters?: number;
}

/** What the headers of a model say, as plain data for JSON and tables. */
export function dumpGguf({ parts, metadata, tensors }: GgufModel, options: DumpOptions = {}): GgufDump {
  return {
    files: parts.map(({ file }) => ({
      name: file.name,
      version: file.version,
      alignment: file.alignment,
      bytes: file.size,
      tensors: file.tensors.size,
    })),
    metadata: [...metadata].map(([key, entry]) => ({ key, ...abbreviated(entry, options) })),
    tensors: [...tensors.values()].map(({ name, type, shape, offset, bytes, source }) => ({
      name,
      type: type.name,
      shape,
      offset,
      bytes,
      file: source.name,
    })),
  };
}

/** A value of the metadata, cut to what a person wants to see. */
export function abbreviated(entry: GgufValue, { elements = 6, characters = 120 }: DumpOptions = {}): Omit<DumpedKey, 'key'> {
  const text = (of: string) => (of.length > characters ? of.slice(0, characters) : of);
  const plain = (of: Scalar) => (typeof of === 'string' ? text(of) : plainScalar(of));
  if (entry.type !== 'array') {
    const { type, value } = entry;
    return { type, value: plain(value), ...(typeof value === 'string' && value.length > characters ? { length: value.length } : {}) };
  }
  const { length } = entry.value;
  const shown = Array.from({ length: Math.min(length, elements) }, (_, i) => plain(entry.value[i]));
  return { type: `${entry.of}[]`, value: shown, ...(length > elements ? { length } : {}) };
}

function plainScalar(of: Scalar): PlainValue {
  if (typeof of === 'bigint') return Number.isSafeInteger(Number(of)) ? Number(of) : String(of);
  return typeof of === 'number' && !Number.isFinite(of) ? String(of) : of;
}
