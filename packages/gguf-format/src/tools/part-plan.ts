import { CalibrantError } from '@calibrant/core';
import { MOST_PARTS } from '../file/split-names.js';

/** Where a model is cut into files: before the tensor that would make the data of a file larger than `maxBytes` (without its header), or after `maxTensors`. */
export interface PartLimits {
  readonly maxBytes?: number;
  readonly maxTensors?: number;
}

/**
 * Cuts tensors, in their order, into the parts of a split model, as llama.cpp's gguf-split does. A tensor that alone is larger than a part may be has a
 * part of its own.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for limits below 1, or so small that there are more parts than the format can count (65 535).
 */
export function planParts<Of extends { readonly padded: number }>(tensors: readonly Of[], { maxBytes, maxTensors }: PartLimits): Of[][] {
  for (const [option, limit] of Object.entries({ maxBytes, maxTensors }))
    if (limit !== undefined && !(limit >= 1))
      throw new CalibrantError('INVALID_ARGUMENT', `The limit ${option} of a part must be 1 or more, found ${limit}.`, { option });
  const parts: Of[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const part = parts[parts.length - 1];
    if (part.length > 0 && (part.length >= (maxTensors ?? Infinity) || bytes + tensor.padded > (maxBytes ?? Infinity))) {
      parts.push([tensor]);
      bytes = tensor.padded;
    } else {
      part.push(tensor);
      bytes += tensor.padded;
    }
  }
  if (parts.length > MOST_PARTS)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `The limits make ${parts.length} parts; a model can have ${MOST_PARTS}. Allow larger parts.`,
      {
        option: 'maxBytes',
      },
    );
  return parts;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/**
 * The bytes of a size as people write it: `2GB`, `500M`, `1.5 GiB`, `4096`. Without an "i" the units are decimal, as in llama.cpp.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for anything else.
 */
export function parseSize(text: string, option = 'size'): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?$/i.exec(text.trim());
  const unit = match ? UNITS[match[2].toLowerCase()] : undefined;
  const bytes = match && unit !== undefined ? Math.floor(Number(match[1]) * unit) : 0;
  if (!(Number.isSafeInteger(bytes) && bytes >= 1))
    throw new CalibrantError('INVALID_ARGUMENT', `"${text}" is no size. Write 2GB, 500M or a number of bytes.`, { option });
  return bytes;
}
