import { type ByteSink, CalibrantError, elementCount } from '@calibrant/core';
import type { BlockType } from '../blocks/block-type.js';
import { encodeHeader } from './encode-header.js';
import { ALIGNMENT_KEY, alignUp, DEFAULT_ALIGNMENT, LONGEST_NAME, MOST_DIMENSIONS } from './gguf-file.js';
import type { GgufMetadata } from './metadata.js';

/** A tensor to be written. */
export interface GgufTensorPlan {
  readonly name: string;
  /** Row-major, `[out, in]`. */
  readonly shape: readonly number[];
  readonly type: Pick<BlockType, 'name' | 'id' | 'blockSize' | 'blockBytes'>;
}

interface Slot {
  readonly offset: number;
  readonly bytes: number;
  written: number;
}

/**
 * Writes a GGUF version 3 file piece by piece: the places of all tensors follow from their shapes and types, so their bytes may come in
 * any order of tensors. The header goes out last, in {@link GgufWriter.finish}: a file that was not finished does not begin with "GGUF".
 *
 * @example
 * const writer = new GgufWriter(sink, metadata, [{ name: 'output.weight', shape: [4096, 256], type: BLOCK_TYPES.Q8_0 }]);
 * await writer.write('output.weight', 0, bytes);
 * await writer.finish();
 */
export class GgufWriter {
  readonly #sink: ByteSink;
  readonly #header: Uint8Array;
  readonly #dataStart: number;
  readonly #alignment: number;
  readonly #slots = new Map<string, Slot>();

  /** @throws CalibrantError `INVALID_ARGUMENT` for duplicate or long names, `SHAPE_MISMATCH` for shapes that the type cannot hold. */
  constructor(sink: ByteSink, metadata: GgufMetadata, tensors: readonly GgufTensorPlan[]) {
    this.#sink = sink;
    const alignment = metadata.get(ALIGNMENT_KEY);
    this.#alignment = alignment ? Number(alignment.value) : DEFAULT_ALIGNMENT;
    let offset = 0;
    for (const plan of tensors) {
      checkPlan(sink.name, plan, this.#slots);
      const bytes = (elementCount(plan.shape) / plan.type.blockSize) * plan.type.blockBytes;
      this.#slots.set(plan.name, { offset, bytes, written: 0 });
      offset = alignUp(offset + bytes, this.#alignment);
    }
    this.#header = encodeHeader(
      metadata,
      tensors.map(({ name, shape, type }) => ({ name, shape, typeId: type.id, offset: this.#slots.get(name)?.offset ?? 0 })),
    );
    this.#dataStart = alignUp(this.#header.length, this.#alignment);
  }

  /** Writes bytes of a tensor, from `start` within it. Every byte once. */
  async write(name: string, start: number, bytes: Uint8Array): Promise<void> {
    const slot = this.#slots.get(name);
    if (!slot) throw new CalibrantError('INVALID_ARGUMENT', `${this.#sink.name}: no tensor "${name}" is planned.`, { tensor: name });
    if (start < 0 || start + bytes.length > slot.bytes || slot.written + bytes.length > slot.bytes)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `${this.#sink.name}: tensor "${name}" has ${slot.bytes} bytes, cannot write ${bytes.length} at ${start} when ${slot.written} are written.`,
        { tensor: name, offset: start },
      );
    await this.#sink.write(this.#dataStart + slot.offset + start, bytes);
    slot.written += bytes.length;
    const padding = alignUp(slot.bytes, this.#alignment) - slot.bytes;
    if (slot.written === slot.bytes && padding > 0)
      await this.#sink.write(this.#dataStart + slot.offset + slot.bytes, new Uint8Array(padding));
  }

  /**
   * Writes the header and closes the sink.
   *
   * @throws CalibrantError `INVALID_ARGUMENT` when a tensor is not complete.
   */
  async finish(): Promise<void> {
    for (const [name, { bytes, written }] of this.#slots)
      if (written !== bytes)
        throw new CalibrantError(
          'INVALID_ARGUMENT',
          `${this.#sink.name}: only ${written} of ${bytes} bytes of tensor "${name}" were written.`,
          {
            tensor: name,
          },
        );
    const padded = new Uint8Array(this.#dataStart);
    padded.set(this.#header);
    await this.#sink.write(0, padded);
    await this.#sink.close();
  }

  /** Closes the sink; what was written is no GGUF file. */
  async abort(): Promise<void> {
    await this.#sink.close();
  }
}

function checkPlan(file: string, { name, shape, type }: GgufTensorPlan, taken: ReadonlyMap<string, unknown>): void {
  if (taken.has(name)) throw new CalibrantError('INVALID_ARGUMENT', `${file}: two tensors are named "${name}".`, { tensor: name });
  if (new TextEncoder().encode(name).length > LONGEST_NAME)
    throw new CalibrantError('INVALID_ARGUMENT', `${file}: the tensor name "${name}" is longer than ${LONGEST_NAME} bytes.`, {
      tensor: name,
    });
  const columns = shape.at(-1) ?? 1;
  if (shape.length > MOST_DIMENSIONS || columns % type.blockSize !== 0 || shape.some((size) => size < 1))
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${file}: tensor "${name}" of shape [${shape.join(', ')}] cannot be stored as ${type.name}: GGUF takes at most ${MOST_DIMENSIONS} dimensions, and rows must be a multiple of ${type.blockSize}.`,
      { tensor: name },
    );
}
