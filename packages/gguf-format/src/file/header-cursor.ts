import { type ByteSource, CalibrantError } from '@calibrant/core';
import { ARRAYS, type GgufArray, type Scalar, type ScalarType, VALUE_TYPES } from './metadata.js';

const WINDOW = 1 << 20;
/** The longest string that JavaScript surely holds; ggml would take 1 GiB. */
const LONGEST_STRING = 2 ** 28;
/** What a header may take in memory beyond the size of its file. */
const ALLOWANCE = 48 * 2 ** 20;
/** Bytes in memory of a string beside its characters (two bytes each, at most), and of one element of an array of values. */
const STRING_COST = 32;
const ELEMENT_COST = 8;

/**
 * Reads a header from front to back through a window. What its values take in memory is counted before they are made and may not exceed the file's size
 * by more than 48 MiB, so that no file makes its reader run out of memory.
 */
export class HeaderCursor {
  readonly #source: ByteSource;
  // A byte order mark is part of a token and not to be dropped.
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  #window: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0));
  /** The next byte's place in the window. */
  #at = 0;
  #windowStart = 0;
  #cost = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** The next byte's position in the file. */
  get offset(): number {
    return this.#windowStart + this.#at;
  }

  get remaining(): number {
    return this.#source.size - this.offset;
  }

  corrupt(message: string, offset = this.offset): CalibrantError {
    return new CalibrantError('CORRUPT_FILE', `${this.#source.name} at byte ${offset}: ${message}`, { file: this.#source.name, offset });
  }

  /** Counts memory that is about to be taken. */
  charge(bytes: number, passing = 0): void {
    this.#cost += bytes;
    if (this.#cost + passing > this.#source.size + ALLOWANCE)
      throw this.corrupt(
        `the header would take more than ${this.#source.size + ALLOWANCE} bytes of memory, too many for a file of ${this.#source.size} bytes. It is damaged; get it again.`,
      );
  }

  /** Makes sure that the window holds the next `length` bytes. */
  async #fill(length: number, what: string): Promise<void> {
    if (length > this.remaining)
      throw this.corrupt(
        `${what} needs ${length} bytes, but the file ends after ${this.remaining}. It is truncated or damaged; get it again.`,
      );
    const start = this.offset;
    const bytes = await this.#source.read(start, Math.min(this.remaining, Math.max(length, WINDOW)));
    this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#windowStart = start;
    this.#at = 0;
  }

  #holds(length: number): boolean {
    return this.#at + length <= this.#window.byteLength;
  }

  /** Steps over bytes that the window holds; returns their place in it. */
  #step(length: number): number {
    const at = this.#at;
    this.#at += length;
    return at;
  }

  async u32(what: string): Promise<number> {
    if (!this.#holds(4)) await this.#fill(4, what);
    return this.#window.getUint32(this.#step(4), true);
  }

  /** An unsigned 64-bit number that must be small enough to count with. */
  async count(what: string, limit: number): Promise<number> {
    if (!this.#holds(8)) await this.#fill(8, what);
    return this.#count(what, limit);
  }

  #count(what: string, limit: number): number {
    const start = this.offset;
    const at = this.#step(8);
    const found = this.#window.getUint32(at + 4, true) * 2 ** 32 + this.#window.getUint32(at, true);
    if (found > limit)
      throw this.corrupt(`${what} is ${this.#window.getBigUint64(at, true)}, more than the ${limit} that can be there.`, start);
    return found;
  }

  async string(what: string): Promise<string> {
    if (!this.#holds(8)) await this.#fill(8, what);
    const length = this.#count(`the length of ${what}`, Math.min(LONGEST_STRING, Math.max(0, this.remaining - 8)));
    this.charge(STRING_COST + 2 * length, length > WINDOW ? length : 0);
    if (!this.#holds(length)) await this.#fill(length, what);
    return this.#characters(length);
  }

  #characters(length: number): string {
    const at = this.#step(length);
    return this.#text.decode(new Uint8Array(this.#window.buffer, this.#window.byteOffset + at, length));
  }

  async scalar(type: ScalarType, what: string): Promise<Scalar> {
    if (type === 'string') return this.string(what);
    const { bytes } = VALUE_TYPES[type];
    if (!this.#holds(bytes)) await this.#fill(bytes, what);
    const start = this.offset;
    const at = this.#step(bytes);
    if (type === 'bool') return this.#boolean(at, what, start);
    return GETTERS[type](this.#window, at);
  }

  #boolean(at: number, what: string, offset: number): boolean {
    const byte = this.#window.getUint8(at);
    if (byte > 1) throw this.corrupt(`${what} must be a boolean (0 or 1), found ${byte}.`, offset);
    return byte === 1;
  }

  async array(type: ScalarType, what: string): Promise<GgufArray> {
    const bytes = type === 'string' ? 8 : VALUE_TYPES[type].bytes;
    const count = await this.count(`the length of ${what}`, Math.floor(Math.max(0, this.remaining - 8) / bytes));
    this.charge(count * (type === 'string' || type === 'bool' ? ELEMENT_COST : bytes));
    if (type === 'string') {
      const strings: string[] = [];
      for (let i = 0; i < count; i++) strings.push(await this.string(what));
      return strings;
    }
    if (type === 'bool') {
      const booleans: boolean[] = [];
      for (let i = 0; i < count; i++) booleans.push((await this.scalar('bool', what)) as boolean);
      return booleans;
    }
    return this.#numbers(type, count, what);
  }

  /** An array of numbers, filled window by window. */
  async #numbers(type: keyof typeof ARRAYS, count: number, what: string): Promise<GgufArray> {
    const { bytes } = VALUE_TYPES[type];
    const values = new ARRAYS[type](count);
    const get = GETTERS[type];
    for (let i = 0; i < count; ) {
      if (!this.#holds(bytes)) await this.#fill(bytes, what);
      const end = Math.min(count, i + Math.floor((this.#window.byteLength - this.#at) / bytes));
      for (; i < end; i++) values[i] = get(this.#window, this.#step(bytes));
    }
    return values as GgufArray;
  }
}

const GETTERS: Readonly<Record<keyof typeof ARRAYS, (view: DataView<ArrayBufferLike>, at: number) => number | bigint>> = {
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  u16: (view, at) => view.getUint16(at, true),
  i16: (view, at) => view.getInt16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i32: (view, at) => view.getInt32(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  u64: (view, at) => view.getBigUint64(at, true),
  i64: (view, at) => view.getBigInt64(at, true),
  f64: (view, at) => view.getFloat64(at, true),
};
