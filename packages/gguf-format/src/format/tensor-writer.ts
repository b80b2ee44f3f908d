import { CalibrantError, type FormatWriter } from '@calibrant/core';
import { typeOfScheme } from '../schemes/tensor-types.js';
import type { PartWriter } from './part-files.js';

/** Turns encoded rows of planned tensors into the bytes of GGUF files. */
export function tensorWriter(writer: PartWriter, fileNames: readonly string[]): FormatWriter {
  return {
    async write(planned, { rowStart, value }) {
      const type = typeOfScheme(planned.scheme);
      if (!type || value.kind === 'affine' || value.kind === 'minifloat' || typeOfScheme(value.scheme) !== type)
        throw new CalibrantError(
          'INVALID_ARGUMENT',
          `${fileNames[0]}: tensor "${planned.name}" was planned as another type than the ${value.kind} rows that came.`,
          {
            tensor: planned.name,
          },
        );
      // A vector's rows are its elements; those of stacked matrices are the rows of all of them.
      const rowElements = planned.shape.length === 1 ? 1 : (planned.shape.at(-1) ?? 1);
      const { data } = value.kind === 'block' ? { data: value.bytes } : value.tensor;
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      await writer.write(planned.name, ((rowStart * rowElements) / type.blockSize) * type.blockBytes, bytes);
    },
    async finish() {
      await writer.finish();
      return fileNames;
    },
    abort: () => writer.abort(),
  };
}
