import { CalibrantError } from '@calibrant/core';
import { MAGIC } from './gguf-file.js';
import { ARRAY_ID, type GgufMetadata, type Scalar, type ScalarType, VALUE_TYPES } from './metadata.js';

/** A tensor's description in the header; `offset` counts from the beginning of the data. */
export interface HeaderTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly typeId: number;
  readonly offset: number;
}

/** The bytes of a version 3 header, without the padding behind it. */
export function encodeHeader(metadata: GgufMetadata, tensors: readonly HeaderTensor[]): Uint8Array {
  const out = new Bytes();
  out.scalar('u32', MAGIC);
  out.scalar('u32', 3);
  out.scalar('u64', BigInt(tensors.length));
  out.scalar('u64', BigInt(metadata.size));
  for (const [key, entry] of metadata) {
    out.scalar('string', key);
    if (entry.type === 'array') {
      out.scalar('u32', ARRAY_ID);
      out.scalar('u32', VALUE_TYPES[entry.of].id);
      out.scalar('u64', BigInt(entry.value.length));
      for (const element of entry.value) out.scalar(entry.of, element);
    } else {
      out.scalar('u32', VALUE_TYPES[entry.type].id);
      out.scalar(entry.type, entry.value);
    }
  }
  for (const { name, shape, typeId, offset } of tensors) {
    out.scalar('string', name);
    out.scalar('u32', shape.length);
    for (const size of [...shape].reverse()) out.scalar('u64', BigInt(size));
    out.scalar('u32', typeId);
    out.scalar('u64', BigInt(offset));
  }
  return out.take();
}

/** A buffer that grows. */
class Bytes {
  #view = new DataView(new ArrayBuffer(1 << 16));
  #length = 0;
  readonly #text = new TextEncoder();

  #reserve(length: number): number {
    const at = this.#length;
    if (at + length > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(at + length, 2 * this.#view.byteLength));
      grown.set(new Uint8Array(this.#view.buffer, 0, at));
      this.#view = new DataView(grown.buffer);
    }
    this.#length += length;
    return at;
  }

  scalar(type: ScalarType, of: Scalar): void {
    if (type === 'string') {
      const bytes = this.#text.encode(String(of));
      this.scalar('u64', BigInt(bytes.length));
      const at = this.#reserve(bytes.length);
      new Uint8Array(this.#view.buffer).set(bytes, at);
      return;
    }
    const at = this.#reserve(VALUE_TYPES[type].bytes);
    const number = Number(of);
    switch (type) {
      case 'u8':
        return this.#view.setUint8(at, number);
      case 'i8':
        return this.#view.setInt8(at, number);
      case 'u16':
        return this.#view.setUint16(at, number, true);
      case 'i16':
        return this.#view.setInt16(at, number, true);
      case 'u32':
        return this.#view.setUint32(at, number, true);
      case 'i32':
        return this.#view.setInt32(at, number, true);
      case 'f32':
        return this.#view.setFloat32(at, number, true);
      case 'bool':
        return this.#view.setUint8(at, of ? 1 : 0);
      case 'u64':
        return this.#view.setBigUint64(at, BigInt(of as number | bigint), true);
      case 'i64':
        return this.#view.setBigInt64(at, BigInt(of as number | bigint), true);
      case 'f64':
        return this.#view.setFloat64(at, number, true);
      default:
        throw new CalibrantError('INVALID_ARGUMENT', `There is no GGUF value type "${String(type)}".`);
    }
  }

  take(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }
}
