import { type ByteSink, CalibrantError } from '@calibrant/core';
import type { GgufLayout } from './layout.js';

/**
 * Writes a GGUF version 3 file piece by piece, the tensors in any order. The header goes out last, in {@link GgufWriter.finish}: a file
 * that was not finished does not begin with "GGUF".
 *
 * @example
 * const layout = layOut(metadata, [{ name: 'output.weight', shape: [4096, 256], type: BLOCK_TYPES.Q8_0 }]);
 * const writer = new GgufWriter(sink, layout);
 * await writer.write('output.weight', 0, bytes);
 * await writer.finish();
 */
export class GgufWriter {
  readonly #sink: ByteSink;
  readonly #layout: GgufLayout;
  readonly #written = new Map<string, number>();
  #missing: number;

  constructor(sink: ByteSink, layout: GgufLayout) {
    this.#sink = sink;
    this.#layout = layout;
    this.#missing = [...layout.places.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Whether every byte of every tensor is written. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /**
   * Writes bytes of a tensor, from `start` within it. Every byte once.
   *
   * @throws CalibrantError `INVALID_ARGUMENT` for an unknown tensor or bytes beyond its end.
   */
  async write(name: string, start: number, bytes: Uint8Array): Promise<void> {
    const place = this.#layout.places.get(name);
    if (!place) throw new CalibrantError('INVALID_ARGUMENT', `${this.#sink.name}: no tensor "${name}" is planned.`, { tensor: name });
    const before = this.#written.get(name) ?? 0;
    const written = before + bytes.length;
    if (start < 0 || start + bytes.length > place.bytes || written > place.bytes)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `${this.#sink.name}: tensor "${name}" has ${place.bytes} bytes, cannot write ${bytes.length} at ${start} when ${before} are written.`,
        { tensor: name, offset: start },
      );
    this.#written.set(name, written);
    await this.#sink.write(place.offset + start, bytes);
    if (written === place.bytes && place.padded > place.bytes)
      await this.#sink.write(place.offset + place.bytes, new Uint8Array(place.padded - place.bytes));
    this.#missing -= bytes.length;
  }

  /**
   * Writes the header and closes the sink.
   *
   * @throws CalibrantError `INVALID_ARGUMENT` when a tensor is not complete.
   */
  async finish(): Promise<void> {
    for (const [name, { bytes }] of this.#layout.places) {
      const written = this.#written.get(name) ?? 0;
      if (written !== bytes)
        throw new CalibrantError(
          'INVALID_ARGUMENT',
          `${this.#sink.name}: only ${written} of ${bytes} bytes of tensor "${name}" were written.`,
          {
            tensor: name,
          },
        );
    }
    await this.#sink.write(0, this.#layout.header);
    await this.#sink.close();
  }

  /** Closes the sink; what was written is no GGUF file. */
  async abort(): Promise<void> {
    await this.#sink.close();
  }
}
