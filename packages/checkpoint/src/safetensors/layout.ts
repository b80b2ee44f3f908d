import { byteLength, CalibrantError, DTYPES, type TensorSpec } from '@calibrant/core';

/** A tensor to be written. */
export interface NamedTensorSpec extends TensorSpec {
  readonly name: string;
  /** It may be left out: the file holds it only when it was written. */
  readonly optional?: boolean;
}

export interface SafetensorsLayout {
  /** Length and JSON, ready to be written at offset 0. */
  readonly header: Uint8Array;
  /** Where each tensor begins, from the start of the file. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Of the whole file. */
  readonly totalBytes: number;
}

/**
 * Lays out a safetensors file: types with larger elements first, so that every tensor is aligned to its element size, else in the given
 * order; the header is padded with spaces to a multiple of 8 bytes.
 *
 * @throws CalibrantError `DUPLICATE_NAME`, or `INVALID_ARGUMENT` for a tensor called `__metadata__`.
 */
export function layoutSafetensors(tensors: readonly NamedTensorSpec[], metadata: Readonly<Record<string, string>>): SafetensorsLayout {
  return layoutInOrder(
    [...tensors].sort((a, b) => DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes),
    metadata,
  );
}

/** {@link layoutSafetensors} in the given order, which must keep every tensor aligned; `headerBytes` is the room for length and JSON, if it is fixed. */
export function layoutInOrder(
  ordered: readonly NamedTensorSpec[],
  metadata: Readonly<Record<string, string>>,
  headerBytes?: number,
): SafetensorsLayout {
  const described: [string, unknown][] = [['__metadata__', metadata]];
  const relative = new Map<string, number>();
  let at = 0;
  for (const spec of ordered) {
    if (spec.name === '__metadata__') throw new CalibrantError('INVALID_ARGUMENT', 'A tensor cannot be called "__metadata__".');
    if (relative.has(spec.name))
      throw new CalibrantError('DUPLICATE_NAME', `Two tensors are called "${spec.name}".`, { tensor: spec.name });
    relative.set(spec.name, at);
    const end = at + byteLength(spec);
    described.push([spec.name, { dtype: DTYPES[spec.dtype].safetensors, shape: spec.shape, data_offsets: [at, end] }]);
    at = end;
  }
  // Member by member: an object would reorder names that look like integers.
  const json = new TextEncoder().encode(
    `{${described.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
  );
  const length = headerBytes === undefined ? Math.ceil(json.byteLength / 8) * 8 : headerBytes - 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  const offsets = new Map([...relative].map(([name, offset]) => [name, header.byteLength + offset]));
  return { header, offsets, totalBytes: header.byteLength + at };
}
