import { CalibrantError } from './errors.js';

/** Element types. `f8_e4m3` is the OCP E4M3FN type (no infinities, max 448), `f8_e5m2` the OCP E5M2 type. */
export type DType =
  | 'f64'
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'f8_e4m3'
  | 'f8_e5m2'
  | 'i64'
  | 'i32'
  | 'i16'
  | 'i8'
  | 'u64'
  | 'u32'
  | 'u16'
  | 'u8'
  | 'bool';

export type TypedArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array;

export interface TypedArrayConstructor {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TypedArray;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): TypedArray;
}

export interface DTypeInfo {
  /** Bytes per element. */
  readonly bytes: number;
  readonly float: boolean;
  /** What holds the elements; f16, bf16 and fp8 are held as bit patterns. */
  readonly array: TypedArrayConstructor;
  /** The name in a safetensors header. */
  readonly safetensors: string;
}

const info = (bytes: number, float: boolean, array: unknown, safetensors: string): DTypeInfo => ({
  bytes,
  float,
  array: array as TypedArrayConstructor,
  safetensors,
});

/** Every element type with its size and names. */
export const DTYPES: Readonly<Record<DType, DTypeInfo>> = {
  f64: info(8, true, Float64Array, 'F64'),
  f32: info(4, true, Float32Array, 'F32'),
  f16: info(2, true, Uint16Array, 'F16'),
  bf16: info(2, true, Uint16Array, 'BF16'),
  f8_e4m3: info(1, true, Uint8Array, 'F8_E4M3'),
  f8_e5m2: info(1, true, Uint8Array, 'F8_E5M2'),
  i64: info(8, false, BigInt64Array, 'I64'),
  i32: info(4, false, Int32Array, 'I32'),
  i16: info(2, false, Int16Array, 'I16'),
  i8: info(1, false, Int8Array, 'I8'),
  u64: info(8, false, BigUint64Array, 'U64'),
  u32: info(4, false, Uint32Array, 'U32'),
  u16: info(2, false, Uint16Array, 'U16'),
  u8: info(1, false, Uint8Array, 'U8'),
  bool: info(1, false, Uint8Array, 'BOOL'),
};

/** @throws CalibrantError `UNSUPPORTED` for a name that is no element type. */
export function dtypeInfo(dtype: DType): DTypeInfo {
  // A name from a file must not find `constructor`.
  const found = Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : undefined;
  if (!found) throw new CalibrantError('UNSUPPORTED', `Unknown element type "${dtype}".`);
  return found;
}
