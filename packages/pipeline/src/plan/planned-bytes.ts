import {
  affineSchemeName,
  dtypeInfo,
  elementCount,
  groupsPerRow,
  type PlannedTensor,
  schemeGroupSize,
  type TensorScheme,
} from '@calibrant/core';

/** Bytes that a planned tensor will take; integer grids with 16-bit scales and packed zero points. */
export function plannedBytes({ scheme, shape }: PlannedTensor): number {
  const count = elementCount(shape);
  if (scheme.kind === 'float') return count * dtypeInfo(scheme.dtype).bytes;
  if (scheme.kind === 'block') return Math.ceil(count / scheme.blockSize) * scheme.blockBytes;
  const [rows, columns] = shape;
  const groups = scheme.granularity === 'tensor' ? 1 : rows * groupsPerRow(columns, schemeGroupSize(scheme, columns));
  return Math.ceil((count * scheme.bits) / 8) + groups * 2 + (scheme.symmetric ? 0 : Math.ceil((groups * scheme.bits) / 8));
}

/** A scheme's name for people. */
export function schemeLabel(scheme: TensorScheme): string {
  if (scheme.kind === 'float') return scheme.dtype;
  return scheme.kind === 'block' ? scheme.type : affineSchemeName(scheme);
}
