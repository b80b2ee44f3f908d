import { CalibrantError, type Tensor } from '@calibrant/core';

/** Counts NaN and infinite elements of a float tensor by their exponent bits. */
export function countNonFinite({ dtype, data }: Tensor): number {
  if (dtype === 'bf16' || dtype === 'f16') {
    const exponent = dtype === 'bf16' ? 0x7f80 : 0x7c00;
    return count(data as Uint16Array, (bits) => (bits & exponent) === exponent);
  }
  if (dtype === 'f32') {
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    return count(words, (bits) => (bits & 0x7f800000) === 0x7f800000);
  }
  if (dtype === 'f64') return count(data as Float64Array, (value) => !Number.isFinite(value));
  if (dtype === 'f8_e4m3') return count(data as Uint8Array, (bits) => (bits & 0x7f) === 0x7f);
  if (dtype === 'f8_e5m2') return count(data as Uint8Array, (bits) => (bits & 0x7c) === 0x7c);
  return 0;
}

function count<T>(values: ArrayLike<T>, bad: (value: T) => boolean): number {
  let found = 0;
  for (let i = 0; i < values.length; i++) if (bad(values[i])) found++;
  return found;
}

/** Sums up what {@link countNonFinite} finds in the parts of a tensor. Throws at the end of the tensor, so that the count is the whole tensor's. */
export function nonFiniteError(tensor: string, found: number, file: string): CalibrantError {
  return new CalibrantError(
    'NON_FINITE',
    `The tensor ${tensor} of ${file} has ${found.toLocaleString('en')} NaN or infinite value${found === 1 ? '' : 's'}. Quantizing it would spoil the model: check the download, or the training run that wrote it.`,
    { tensor, file, count: found },
  );
}
