import { MAGIC } from './gguf-file.js';
import { ARRAY_ID, type HeaderMetadata, type Scalar, type ScalarType, VALUE_TYPES } from './metadata.js';

/** A tensor's description in the header; `offset` counts from the beginning of the data. */
export interface HeaderTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly typeId: number;
  readonly offset: number;
}

/** The bytes of a version 3 header, without the padding behind it. */
export function encodeHeader(metadata: HeaderMetadata, tensors: readonly HeaderTensor[]): Uint8Array {
  const out = new Bytes();
  out.scalar('u32', MAGIC);
  out.scalar('u32', 3);
  out.scalar('u64', BigInt(tensors.length));
  out.scalar('u64', BigInt(metadata.size));
  for (const [key, entry] of metadata) {
    out.scalar('string', key);
    if (entry.type === 'encoded') out.bytes(entry.value);
    else if (entry.type === 'array') {
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

const SETTERS: Readonly<Record<Exclude<ScalarType, 'string'>, (view: DataView, at: number, of: Scalar) => void>> = {
  u8: (view, at, of) => view.setUint8(at, Number(of)),
  i8: (view, at, of) => view.setInt8(at, Number(of)),
  u16: (view, at, of) => view.setUint16(at, Number(of), true),
  i16: (view, at, of) => view.setInt16(at, Number(of), true),
  u32: (view, at, of) => view.setUint32(at, Number(of), true),
  i32: (view, at, of) => view.setInt32(at, Number(of), true),
  f32: (view, at, of) => view.setFloat32(at, Number(of), true),
  bool: (view, at, of) => view.setUint8(at, of ? 1 : 0),
  u64: (view, at, of) => view.setBigUint64(at, BigInt(of), true),
  i64: (view, at, of) => view.setBigInt64(at, BigInt(of), true),
  f64: (view, at, of) => view.setFloat64(at, Number(of), true),
};

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

  bytes(of: Uint8Array): void {
    const at = this.#reserve(of.length);
    new Uint8Array(this.#view.buffer).set(of, at);
  }

  scalar(type: ScalarType, of: Scalar): void {
    if (type === 'string') {
      const bytes = this.#text.encode(String(of));
      this.scalar('u64', BigInt(bytes.length));
      this.bytes(bytes);
      return;
    }
    const at = this.#reserve(VALUE_TYPES[type].bytes);
    SETTERS[type](this.#view, at, of);
  }

  take(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }
}
