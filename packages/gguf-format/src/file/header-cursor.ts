import { type ByteSource, CalibrantError } from '@calibrant/core';
import { type Scalar, type ScalarType, VALUE_TYPES } from './metadata.js';

const WINDOW = 1 << 20;
/** The longest string and array that ggml accepts. */
const LONGEST = 2 ** 30;

/** Reads a header from front to back through a window, so that a header of any size takes little memory beside its values. */
export class HeaderCursor {
  readonly #source: ByteSource;
  readonly #text = new TextDecoder();
  #window: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0));
  #windowStart = 0;
  /** The next byte's position in the file. */
  offset = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get remaining(): number {
    return this.#source.size - this.offset;
  }

  corrupt(message: string, offset = this.offset): CalibrantError {
    return new CalibrantError('CORRUPT_FILE', `${this.#source.name} at byte ${offset}: ${message}`, { file: this.#source.name, offset });
  }

  /** Makes `length` bytes readable and steps over them; returns their place in the window. */
  async #take(length: number, what: string): Promise<number> {
    if (length > this.remaining)
      throw this.corrupt(
        `${what} needs ${length} bytes, but the file ends after ${this.remaining}. It is truncated or damaged; get it again.`,
      );
    let at = this.offset - this.#windowStart;
    if (at + length > this.#window.byteLength) {
      const bytes = await this.#source.read(this.offset, Math.min(this.remaining, Math.max(length, WINDOW)));
      this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#windowStart = this.offset;
      at = 0;
    }
    this.offset += length;
    return at;
  }

  async u32(what: string): Promise<number> {
    const at = await this.#take(4, what);
    return this.#window.getUint32(at, true);
  }

  /** An unsigned 64-bit number that must be small enough to count with. */
  async count(what: string, limit: number): Promise<number> {
    const start = this.offset;
    const at = await this.#take(8, what);
    const found = this.#window.getBigUint64(at, true);
    if (found > BigInt(limit)) throw this.corrupt(`${what} is ${found}, more than the ${limit} that can be there.`, start);
    return Number(found);
  }

  async string(what: string): Promise<string> {
    const length = await this.count(`the length of ${what}`, Math.min(LONGEST, Math.max(0, this.remaining - 8)));
    const at = await this.#take(length, what);
    return this.#text.decode(new Uint8Array(this.#window.buffer, this.#window.byteOffset + at, length));
  }

  async scalar(type: ScalarType, what: string): Promise<Scalar> {
    if (type === 'string') return this.string(what);
    const start = this.offset;
    const at = await this.#take(VALUE_TYPES[type].bytes, what);
    const view = this.#window;
    switch (type) {
      case 'u8':
        return view.getUint8(at);
      case 'i8':
        return view.getInt8(at);
      case 'u16':
        return view.getUint16(at, true);
      case 'i16':
        return view.getInt16(at, true);
      case 'u32':
        return view.getUint32(at, true);
      case 'i32':
        return view.getInt32(at, true);
      case 'f32':
        return view.getFloat32(at, true);
      case 'u64':
        return view.getBigUint64(at, true);
      case 'i64':
        return view.getBigInt64(at, true);
      case 'f64':
        return view.getFloat64(at, true);
      case 'bool': {
        const byte = view.getUint8(at);
        if (byte > 1) throw this.corrupt(`${what} must be a boolean (0 or 1), found ${byte}.`, start);
        return byte === 1;
      }
    }
  }

  async array(type: ScalarType, what: string): Promise<Scalar[]> {
    const bytes = type === 'string' ? 8 : VALUE_TYPES[type].bytes;
    const count = await this.count(`the length of ${what}`, Math.min(LONGEST, Math.floor(Math.max(0, this.remaining - 8) / bytes)));
    const values: Scalar[] = [];
    for (let i = 0; i < count; i++) values.push(await this.scalar(type, what));
    return values;
  }
}
