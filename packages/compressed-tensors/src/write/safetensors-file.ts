import { type ByteSink, byteLength, DTYPES } from '@calibrant/core';
import type { StoredPart } from './stored-parts.js';

/** A safetensors file whose tensors arrive in any order and in pieces, some of them announced only as possible. */
export interface SafetensorsFile {
  readonly name: string;
  /** Writes bytes of an announced tensor, beginning at byte `at` of it. */
  write(part: StoredPart, at: number, bytes: Uint8Array): Promise<void>;
  /** Adds a tensor that was announced as possible. */
  append(part: StoredPart, bytes: Uint8Array): Promise<void>;
  /** Writes the header and closes the file. Returns the names and bytes of its tensors. */
  finish(): Promise<readonly StoredPart[]>;
  close(): Promise<void>;
}

const ALIGNMENT = 8;
const METADATA = { __metadata__: { format: 'pt' } };

/**
 * The file's size when every announced tensor and none of the possible ones is written, for the check of free disk space.
 */
export function fileBytes(parts: readonly StoredPart[], possible: readonly StoredPart[]): number {
  return headerRoom(parts, possible) + parts.reduce((sum, part) => sum + byteLength(part), 0);
}

/**
 * Lays tensors out one after another behind room for the header, which is written last. Readers want every tensor aligned to its elements and
 * no gaps; so those whose bytes are a multiple of 8 come first, in any order, and the few odd ones (a single scale, say) wait in memory
 * and close the file, widest elements first.
 */
export function createSafetensorsFile(sink: ByteSink, parts: readonly StoredPart[], possible: readonly StoredPart[]): SafetensorsFile {
  const room = headerRoom(parts, possible);
  const offsets = new Map<string, number>();
  const odd = new Map<StoredPart, Uint8Array>();
  const written: StoredPart[] = [];
  let end = 0;
  const place = (part: StoredPart) => {
    offsets.set(part.name, end);
    written.push(part);
    end += byteLength(part);
  };
  for (const part of parts)
    if (byteLength(part) % ALIGNMENT === 0) place(part);
    else odd.set(part, new Uint8Array(byteLength(part)));

  return {
    name: sink.name,
    async write(part, at, bytes) {
      const waiting = odd.get(part);
      if (waiting) waiting.set(bytes, at);
      else await sink.write(room + (offsets.get(part.name) as number) + at, bytes);
    },
    async append(part, bytes) {
      if (byteLength(part) % ALIGNMENT !== 0) {
        odd.set(part, bytes.slice());
        return;
      }
      place(part);
      await sink.write(room + (offsets.get(part.name) as number), bytes);
    },
    async finish() {
      const rest = [...odd].sort(([a], [b]) => DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes);
      for (const [part, bytes] of rest) {
        place(part);
        await sink.write(room + (offsets.get(part.name) as number), bytes);
      }
      await sink.write(0, headerBytes(written, offsets, room));
      await sink.close();
      return written;
    },
    close: () => sink.close(),
  };
}

/** The longest header that can come about, so that the data can be written before it. */
function headerRoom(parts: readonly StoredPart[], possible: readonly StoredPart[]): number {
  const all = [...parts, ...possible];
  const total = all.reduce((sum, part) => sum + byteLength(part), 0);
  const length = new TextEncoder().encode(headerText(all, new Map(all.map(({ name }) => [name, total])))).length;
  return 8 + Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function headerText(parts: readonly StoredPart[], offsets: ReadonlyMap<string, number>): string {
  const entries = parts.map((part) => {
    const start = offsets.get(part.name) as number;
    return [
      part.name,
      { dtype: DTYPES[part.dtype].safetensors, shape: part.shape, data_offsets: [start, start + byteLength(part)] },
    ] as const;
  });
  return JSON.stringify({ ...METADATA, ...Object.fromEntries(entries) });
}

function headerBytes(parts: readonly StoredPart[], offsets: ReadonlyMap<string, number>, room: number): Uint8Array {
  const bytes = new Uint8Array(room).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(room - 8), true);
  bytes.set(new TextEncoder().encode(headerText(parts, offsets)), 8);
  return bytes;
}
