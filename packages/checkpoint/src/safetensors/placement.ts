import { type ByteSink, byteLength, DTYPES } from '@calibrant/core';
import { layoutInOrder, layoutSafetensors, type NamedTensorSpec } from './layout.js';

/** Where the bytes of a file's tensors go. */
export interface Placement {
  write(name: string, at: number, bytes: Uint8Array): Promise<void>;
  /** Writes what is left. Returns the tensors that the file holds. */
  finish(): Promise<readonly NamedTensorSpec[]>;
}

/** No element is wider: behind tensors whose bytes are a multiple of this, any tensor is aligned. */
const ALIGNMENT = 8;

/** Starts a file; closes the sink when that fails. */
export async function placeTensors(
  sink: ByteSink,
  tensors: readonly NamedTensorSpec[],
  metadata: Readonly<Record<string, string>>,
): Promise<Placement> {
  try {
    return tensors.some(({ optional }) => optional) ? waiting(sink, tensors, metadata) : await fixed(sink, tensors, metadata);
  } catch (error) {
    await sink.close();
    throw error;
  }
}

async function fixed(sink: ByteSink, tensors: readonly NamedTensorSpec[], metadata: Readonly<Record<string, string>>): Promise<Placement> {
  const { header, offsets } = layoutSafetensors(tensors, metadata);
  await sink.write(0, header);
  return {
    write: (name, at, bytes) => sink.write((offsets.get(name) as number) + at, bytes),
    finish: async () => tensors,
  };
}

/**
 * Readers want every tensor aligned to its elements and no gaps, so required tensors whose bytes are a multiple of 8 come first; the others, and
 * the optional ones that were written, close the file, and the header goes into the room that was left for it.
 */
function waiting(sink: ByteSink, tensors: readonly NamedTensorSpec[], metadata: Readonly<Record<string, string>>): Placement {
  const isWhole = (spec: NamedTensorSpec) => byteLength(spec) % ALIGNMENT === 0;
  const first = tensors.filter((spec) => !spec.optional && isWhole(spec));
  // An offset that is larger here than in the final order cannot have more digits than the largest.
  const room = layoutSafetensors(tensors, metadata).header.byteLength + ALIGNMENT * Math.ceil((tensors.length * 40) / ALIGNMENT);
  const { offsets } = layoutInOrder(first, metadata, room);
  const held = new Map(tensors.filter((spec) => !spec.optional && !isWhole(spec)).map((spec) => [spec.name, bytesFor(spec)]));
  const optional = new Map(tensors.filter((spec) => spec.optional).map((spec) => [spec.name, spec]));
  return {
    async write(name, at, bytes) {
      const spec = optional.get(name);
      if (spec && !held.has(name)) held.set(name, bytesFor(spec));
      const buffer = held.get(name);
      if (buffer) buffer.set(bytes, at);
      else await sink.write((offsets.get(name) as number) + at, bytes);
    },
    async finish() {
      const last = tensors
        .filter(({ name }) => held.has(name))
        .sort((a, b) => Number(isWhole(b)) - Number(isWhole(a)) || DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes);
      const layout = layoutInOrder([...first, ...last], metadata, room);
      for (const { name } of last) await sink.write(layout.offsets.get(name) as number, held.get(name) as Uint8Array);
      await sink.write(0, layout.header);
      return [...first, ...last];
    },
  };
}

function bytesFor(spec: NamedTensorSpec): Uint8Array {
  return new Uint8Array(byteLength(spec));
}
