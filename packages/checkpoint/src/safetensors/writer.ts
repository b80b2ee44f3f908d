import { type ByteSink, byteLength, CalibrantError, DTYPES, describeSpec, elementCount, type Tensor } from '@calibrant/core';
import type { NamedTensorSpec } from './layout.js';
import { placeTensors } from './placement.js';
import { createWrittenRows } from './written-rows.js';

/** Writes tensors of a file whose names, types and shapes were given in advance, in any order. */
export interface SafetensorsWriter {
  /**
   * Writes a tensor, or some of its rows beginning at `row`.
   *
   * @throws CalibrantError `UNKNOWN_NAME` or `SHAPE_MISMATCH` when it was not announced like that.
   */
  write(name: string, data: Tensor, options?: { readonly row?: number }): Promise<void>;
  /** Checks that every row of every tensor was written, and closes the sink. Returns the tensors of the file. @throws CalibrantError `INVALID_ARGUMENT` naming what is missing. */
  finish(): Promise<readonly NamedTensorSpec[]>;
  /** Closes the sink without checking, after an error. */
  close(): Promise<void>;
}

export interface SafetensorsWriterOptions {
  /** `__metadata__`; transformers refuses a file without `format`, so it is `{ format: 'pt' }` if absent. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Starts a safetensors file. Tensors follow one by one and nothing is kept in memory; where some are optional, those and the few whose bytes are no
 * multiple of 8 wait in memory until the end.
 *
 * @example
 * const writer = await createSafetensorsWriter(await fileSink('model.safetensors'), [{ name: 'w', dtype: 'f32', shape: [4, 2] }]);
 * await writer.write('w', tensor('f32', [2, 2], Float32Array.of(5, 6, 7, 8)), { row: 2 });
 * await writer.write('w', tensor('f32', [2, 2], Float32Array.of(1, 2, 3, 4)));
 * await writer.finish();
 */
export async function createSafetensorsWriter(
  sink: ByteSink,
  tensors: readonly NamedTensorSpec[],
  { metadata = { format: 'pt' } }: SafetensorsWriterOptions = {},
): Promise<SafetensorsWriter> {
  const placement = await placeTensors(sink, tensors, metadata);
  const announced = new Map(tensors.map((spec) => [spec.name, { spec, rows: spec.shape[0] ?? 1, written: createWrittenRows() }]));

  return {
    async write(name, data, { row = 0 } = {}) {
      const found = announced.get(name);
      if (!found)
        throw new CalibrantError('UNKNOWN_NAME', `${sink.name}: tensor "${name}" was not announced in the header.`, {
          file: sink.name,
          tensor: name,
        });
      const { spec, written } = found;
      const count = data.shape.length === 0 ? 1 : data.shape[0];
      const fits =
        data.dtype === spec.dtype &&
        data.shape.length === spec.shape.length &&
        data.shape.slice(1).every((size, axis) => size === spec.shape[axis + 1]) &&
        row >= 0 &&
        row + count <= found.rows;
      if (!fits)
        throw new CalibrantError(
          'SHAPE_MISMATCH',
          `${sink.name}: tensor "${name}" was announced as ${describeSpec(spec)}; ${describeSpec(data)} at row ${row} does not fit.`,
          { file: sink.name, tensor: name },
        );
      const rowBytes = elementCount(spec.shape.slice(1)) * DTYPES[spec.dtype].bytes;
      const bytes = new Uint8Array(data.data.buffer, data.data.byteOffset, byteLength(data));
      await placement.write(name, row * rowBytes, bytes);
      written.add(row, row + count);
    },
    async finish() {
      for (const { spec, rows, written } of announced.values()) {
        const nothing = byteLength(spec) === 0 || (spec.optional && written.firstMissing(1) === 0);
        const missing = nothing ? undefined : written.firstMissing(rows);
        if (missing !== undefined)
          throw new CalibrantError(
            'INVALID_ARGUMENT',
            `${sink.name} is incomplete: row ${missing} of tensor "${spec.name}" was never written.`,
            {
              file: sink.name,
              tensor: spec.name,
            },
          );
      }
      const present = await placement.finish();
      await sink.close();
      return present;
    },
    close: () => sink.close(),
  };
}
