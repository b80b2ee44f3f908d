import {
  CalibrantError,
  type DType,
  elementCount,
  type ModelFacts,
  type PlannedTensor,
  type Tensor,
  toDtype,
  toF32,
} from '@calibrant/core';

/**
 * Scales in the type in which they are stored.
 *
 * @throws CalibrantError `NUMERICAL` when a scale is beyond the range of that type.
 */
export function storedScales(scales: Tensor, dtype: DType, name: string): Tensor {
  const stored = toDtype(scales, dtype);
  const values = toF32(stored);
  const lost = values.findIndex((value) => !Number.isFinite(value));
  if (lost >= 0)
    throw new CalibrantError(
      'NUMERICAL',
      `The scale ${toF32(scales)[lost]} of ${name} is beyond the range of ${dtype}. Store scales in a wider type: the format's option scaleDtype "bf16" or "f32".`,
      { tensor: name, option: 'format.scaleDtype', index: lost, count: elementCount(scales.shape) },
    );
  return stored;
}

/** The type in which a quantized source stores the scales of a tensor that keeps its grid; undefined for any other tensor. */
export function sourceScaleDtype({ source }: PlannedTensor, { tensors }: ModelFacts): 'f32' | 'f16' | 'bf16' | undefined {
  const dtype = source === undefined ? undefined : tensors.get(source)?.coded?.scaleDtype;
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' ? dtype : undefined;
}
