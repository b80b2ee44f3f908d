import { CalibrantError, elementCount } from '@calibrant/core';
import { encodeHeader } from './encode-header.js';
import type { GgmlType } from './ggml-types.js';
import { ALIGNMENT_KEY, alignUp, DEFAULT_ALIGNMENT, LONGEST_NAME, MOST_DIMENSIONS } from './gguf-file.js';
import type { HeaderMetadata } from './metadata.js';

/** A tensor to be written. */
export interface GgufTensorPlan {
  readonly name: string;
  /** Row-major, `[out, in]`. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
}

/** A file before its data: all places follow from shapes and types. */
export interface GgufLayout {
  /** The header with its padding. */
  readonly header: Uint8Array;
  /** Where each tensor begins in the file, and its bytes without and with padding. */
  readonly places: ReadonlyMap<string, { readonly offset: number; readonly bytes: number; readonly padded: number }>;
  /** Of the whole file. */
  readonly bytes: number;
}

/**
 * Lays out a version 3 file: tensors in the given order, each on a multiple of `general.alignment` (32 when it is not set).
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for duplicate or long names, `SHAPE_MISMATCH` for shapes that the type cannot hold.
 */
export function layOut(metadata: HeaderMetadata, tensors: readonly GgufTensorPlan[], file = 'GGUF file'): GgufLayout {
  const alignment = Number(metadata.get(ALIGNMENT_KEY)?.value ?? DEFAULT_ALIGNMENT);
  const slots = new Map<string, { offset: number; bytes: number; padded: number }>();
  let end = 0;
  for (const plan of tensors) {
    checkPlan(file, plan, slots);
    const bytes = (elementCount(plan.shape) / plan.type.blockSize) * plan.type.blockBytes;
    const padded = alignUp(bytes, alignment);
    slots.set(plan.name, { offset: end, bytes, padded });
    end += padded;
  }
  const described = tensors.map(({ name, shape, type }) => ({ name, shape, typeId: type.id, offset: slots.get(name)?.offset ?? 0 }));
  const encoded = encodeHeader(metadata, described);
  const header = new Uint8Array(alignUp(encoded.length, alignment));
  header.set(encoded);
  const places = new Map([...slots].map(([name, slot]) => [name, { ...slot, offset: header.length + slot.offset }]));
  return { header, places, bytes: header.length + end };
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
