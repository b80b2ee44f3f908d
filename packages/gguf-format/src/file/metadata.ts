import { CalibrantError } from '@calibrant/core';

/** Value types of GGUF with their numbers, and bytes of one value (0: variable). */
export const VALUE_TYPES = {
  u8: { id: 0, bytes: 1 },
  i8: { id: 1, bytes: 1 },
  u16: { id: 2, bytes: 2 },
  i16: { id: 3, bytes: 2 },
  u32: { id: 4, bytes: 4 },
  i32: { id: 5, bytes: 4 },
  f32: { id: 6, bytes: 4 },
  bool: { id: 7, bytes: 1 },
  string: { id: 8, bytes: 0 },
  u64: { id: 10, bytes: 8 },
  i64: { id: 11, bytes: 8 },
  f64: { id: 12, bytes: 8 },
} as const;

/** The number of the array type. */
export const ARRAY_ID = 9;

/** The arrays that hold numbers of each type. */
export const ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const;

export type ScalarType = keyof typeof VALUE_TYPES;
/** u64 and i64 are bigint, strings and booleans themselves, the rest numbers. */
export type Scalar = number | bigint | string | boolean;
/** The elements of an array: a typed array of the type where numbers were read from a file. */
export type GgufArray = ArrayLike<Scalar> & Iterable<Scalar>;

/** One value of a file's metadata with its type in the file. */
export type GgufValue =
  | { readonly type: ScalarType; readonly value: Scalar }
  | { readonly type: 'array'; readonly of: ScalarType; readonly value: GgufArray };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Metadata for a header to be written; `encoded` values are the bytes of another file, type and contents, as they are. */
export type HeaderMetadata = ReadonlyMap<string, GgufValue | { readonly type: 'encoded'; readonly value: Uint8Array }>;

/** Constructors of values: `value.u32(32)`. */
export const value = {
  u16: (of: number): GgufValue => ({ type: 'u16', value: of }),
  u32: (of: number): GgufValue => ({ type: 'u32', value: of }),
  i32: (of: number): GgufValue => ({ type: 'i32', value: of }),
  f32: (of: number): GgufValue => ({ type: 'f32', value: of }),
  bool: (of: boolean): GgufValue => ({ type: 'bool', value: of }),
  string: (of: string): GgufValue => ({ type: 'string', value: of }),
  strings: (of: readonly string[]): GgufValue => ({ type: 'array', of: 'string', value: of }),
  u8s: (of: Uint8Array): GgufValue => ({ type: 'array', of: 'u8', value: of }),
  i32s: (of: readonly number[]): GgufValue => ({ type: 'array', of: 'i32', value: Int32Array.from(of) }),
  f32s: (of: readonly number[]): GgufValue => ({ type: 'array', of: 'f32', value: Float32Array.from(of) }),
};

const expected = (file: string, key: string, kind: string, found: GgufValue): CalibrantError =>
  new CalibrantError(
    'CORRUPT_FILE',
    `${file}: the metadata "${key}" must be ${kind}, found ${found.type === 'array' ? `an array of ${found.of}` : found.type}.`,
    { file },
  );

/** Typed look-ups in the metadata of one file; a present value of another kind is an error that names file and key. */
export function metadataReader(file: string, metadata: GgufMetadata) {
  const missing = (key: string) =>
    new CalibrantError('CORRUPT_FILE', `${file}: the metadata "${key}" is missing; the model cannot be read without it.`, { file });
  const reader = {
    number(key: string): number | undefined {
      const found = metadata.get(key);
      if (!found) return undefined;
      if (typeof found.value !== 'number' && typeof found.value !== 'bigint') throw expected(file, key, 'a number', found);
      return Number(found.value);
    },
    string(key: string): string | undefined {
      const found = metadata.get(key);
      if (!found) return undefined;
      if (typeof found.value !== 'string') throw expected(file, key, 'a string', found);
      return found.value;
    },
    boolean(key: string): boolean | undefined {
      const found = metadata.get(key);
      if (!found) return undefined;
      if (typeof found.value !== 'boolean') throw expected(file, key, 'a boolean', found);
      return found.value;
    },
    strings(key: string): readonly string[] | undefined {
      const found = metadata.get(key);
      if (!found) return undefined;
      if (found.type !== 'array' || found.of !== 'string') throw expected(file, key, 'an array of strings', found);
      return found.value as unknown as readonly string[];
    },
    numbers(key: string): readonly number[] | undefined {
      const found = metadata.get(key);
      if (!found) return undefined;
      if (found.type !== 'array' || found.of === 'string' || found.of === 'bool') throw expected(file, key, 'an array of numbers', found);
      return Array.from(found.value, Number);
    },
    requireNumber(key: string): number {
      const found = reader.number(key);
      if (found === undefined) throw missing(key);
      return found;
    },
    requireString(key: string): string {
      const found = reader.string(key);
      if (found === undefined) throw missing(key);
      return found;
    },
  };
  return reader;
}

export type MetadataReader = ReturnType<typeof metadataReader>;
