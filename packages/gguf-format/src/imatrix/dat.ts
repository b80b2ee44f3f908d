import { type ByteSink, type ByteSource, CalibrantError, type ImportanceEntry, type ImportanceMatrix } from '@calibrant/core';
import { floatBytes } from './gguf.js';

/** More than any model's: a file that says more is no importance matrix. */
const MOST_BYTES = 2 ** 30;
const LONGEST_TEXT = 4096;
/** Tokens per chunk, which the layout does not say: llama.cpp's default. */
const CHUNK_SIZE = 512;

/**
 * Reads llama.cpp's older layout, little-endian i32 and f32: number of entries; for each its name (length, bytes), calls, number of values and `calls · mean square`
 * per channel; then chunks and the text's name (files of the first versions end before). One count stands for all experts of an entry.
 *
 * @throws CalibrantError `CORRUPT_FILE` with the byte at which the file stopped making sense.
 */
export async function readDat(source: ByteSource): Promise<ImportanceMatrix> {
  if (source.size > MOST_BYTES) throw corrupt(source, 0, `has ${source.size} bytes, more than any importance matrix`);
  const bytes = await source.read(0, source.size);
  const cursor = new Cursor(source, bytes);
  const count = cursor.count('the number of entries', Math.floor(bytes.length / 12));
  if (count === 0) throw corrupt(source, 0, 'has no entries');
  const entries = new Map<string, ImportanceEntry>();
  for (let i = 0; i < count; i++) {
    const at = cursor.at;
    const name = cursor.text(`the name of entry ${i}`);
    if (name === '' || entries.has(name)) throw corrupt(source, at, name === '' ? 'has an entry without a name' : `has "${name}" twice`);
    const calls = cursor.count(`the calls of "${name}"`, 2 ** 31 - 1);
    const length = cursor.count(`the number of values of "${name}"`, (cursor.remaining - 4) / 4);
    if (length === 0) throw corrupt(source, at, `has no values for "${name}"`);
    entries.set(name, { sums: cursor.floats(length).map((of) => of * CHUNK_SIZE), counts: Float64Array.of(calls * CHUNK_SIZE) });
  }
  const hasOrigin = cursor.remaining > 0;
  const chunks = hasOrigin ? cursor.count('the number of chunks', 2 ** 31 - 1) : 0;
  const dataset = hasOrigin ? cursor.text("the text's name") : '';
  if (cursor.remaining > 0) throw corrupt(source, cursor.at, `has ${cursor.remaining} bytes after its end`);
  return { entries, datasets: dataset ? [dataset] : [], chunks, chunkSize: CHUNK_SIZE };
}

/**
 * Writes the older layout. Entries without any token are left out; experts without tokens get ones, since the layout has one count per entry. The values
 * are means times calls in f32: sums read back differ by rounding. Only the last text's name is kept.
 */
export async function writeDat(matrix: ImportanceMatrix, sink: ByteSink): Promise<void> {
  const seen = [...matrix.entries].filter(([, { counts }]) => counts.some((of) => of > 0)).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts: Uint8Array[] = [int(seen.length)];
  for (const [name, { sums, counts }] of seen) {
    const columns = sums.length / counts.length;
    const calls = Math.max(1, Math.ceil(counts.reduce((most, of) => Math.max(most, of), 0) / (matrix.chunkSize || CHUNK_SIZE)));
    const values = sums.map((sum, i) => {
      const tokens = counts[Math.floor(i / columns)];
      return (tokens > 0 ? sum / tokens : 1) * calls;
    });
    parts.push(...text(name), int(calls), int(values.length), floatBytes(values));
  }
  parts.push(int(matrix.chunks), ...text(matrix.datasets.at(-1) ?? ''));
  let at = 0;
  for (const part of parts) {
    await sink.write(at, part);
    at += part.length;
  }
}

function int(of: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, of, true);
  return bytes;
}

function text(of: string): [Uint8Array, Uint8Array] {
  const bytes = new TextEncoder().encode(of);
  return [int(bytes.length), bytes];
}

function corrupt({ name }: ByteSource, offset: number, found: string): CalibrantError {
  return new CalibrantError(
    'CORRUPT_FILE',
    `${name} is no importance matrix that llama-imatrix writes: at byte ${offset} it ${found}. Give a GGUF importance matrix or a .dat file.`,
    { file: name, offset },
  );
}

class Cursor {
  at = 0;
  readonly #source: ByteSource;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(source: ByteSource, bytes: Uint8Array) {
    this.#source = source;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.length - this.at;
  }

  count(what: string, most: number): number {
    if (this.remaining < 4) throw corrupt(this.#source, this.at, `ends before ${what}`);
    const of = this.#view.getInt32(this.at, true);
    if (of < 0 || of > most) throw corrupt(this.#source, this.at, `says that ${what} is ${of}`);
    this.at += 4;
    return of;
  }

  text(what: string): string {
    const length = this.count(`the length of ${what}`, Math.min(LONGEST_TEXT, this.remaining - 4));
    const found = new TextDecoder().decode(this.#bytes.subarray(this.at, this.at + length));
    this.at += length;
    return found;
  }

  floats(length: number): Float64Array {
    const start = this.at;
    this.at += 4 * length;
    return Float64Array.from({ length }, (_, i) => this.#view.getFloat32(start + 4 * i, true));
  }
}
