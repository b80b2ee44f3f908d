import {
  affineSchemeName,
  dtypeInfo,
  elementCount,
  groupsPerRow,
  minifloatScaleShape,
  minifloatSchemeName,
  type PlannedTensor,
  schemeGroupSize,
  type TensorScheme,
} from '@calibrant/core';

/** Bytes that a planned tensor will take; integer grids with 16-bit scales and packed zero points, 8-bit floats with 32-bit scales. */
export function plannedBytes({ scheme, shape }: PlannedTensor): number {
  const count = elementCount(shape);
  if (scheme.kind === 'float') return count * dtypeInfo(scheme.dtype).bytes;
  if (scheme.kind === 'block') return Math.ceil(count / scheme.blockSize) * scheme.blockBytes;
  if (scheme.kind === 'minifloat') return count + 4 * elementCount(minifloatScaleShape(scheme, shape));
  const [rows, columns] = shape;
  const groups = scheme.granularity === 'tensor' ? 1 : rows * groupsPerRow(columns, schemeGroupSize(scheme, columns));
  return Math.ceil((count * scheme.bits) / 8) + groups * 2 + (scheme.symmetric ? 0 : Math.ceil((groups * scheme.bits) / 8));
}

/** A scheme's name for people. */
export function schemeLabel(scheme: TensorScheme): string {
  if (scheme.kind === 'float') return scheme.dtype;
  if (scheme.kind === 'minifloat') return minifloatSchemeName(scheme);
  return scheme.kind === 'block' ? scheme.type : affineSchemeName(scheme);
}
