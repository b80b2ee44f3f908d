import {
  linearModule,
  type NamedTensorSpec,
  packColumns,
  packRows,
  rowBuffer,
  type StoredWeight,
  sourceFloat,
  sourceScaleDtype,
  storedScales,
  wordsFor,
} from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  CalibrantError,
  type DType,
  groupsPerRow,
  type PlannedTensor,
  schemeGroupSize,
  tensor,
} from '@calibrant/core';
import type { WeightInput } from './weight-input.js';

/**
 * `pack-quantized`: `weight_packed` i32 `[out, ceil(in · bits / 32)]`, `weight_scale`, `weight_shape`, `weight_zero_point` i32 packed along the outputs, and
 * `weight_g_idx` where groups are not contiguous.
 */
export function packedWeight(planned: PlannedTensor, input: WeightInput): StoredWeight {
  const { facts, backend, onOrdered } = input;
  const scheme = planned.scheme as AffineScheme;
  const { bits, granularity, symmetric } = scheme;
  const module = linearModule(planned, facts, 'compressed-tensors');
  const [out, columns] = planned.shape;
  const groups = gridColumns(scheme, columns, planned.name);
  const whole = granularity === 'tensor';
  const grids = whole ? 1 : out;
  const dtype = scaleDtype(planned, input);
  const packed: NamedTensorSpec = { name: `${module}.weight_packed`, dtype: 'i32', shape: [out, wordsFor(columns, bits)] };
  const scale: NamedTensorSpec = { name: `${module}.weight_scale`, dtype, shape: whole ? [1] : [out, groups] };
  const shape: NamedTensorSpec = { name: `${module}.weight_shape`, dtype: 'i64', shape: [2] };
  const zero: NamedTensorSpec = whole
    ? { name: `${module}.weight_zero_point`, dtype: 'i8', shape: [1] }
    : { name: `${module}.weight_zero_point`, dtype: 'i32', shape: [wordsFor(out, bits), groups] };
  const order: NamedTensorSpec = { name: `${module}.weight_g_idx`, dtype: 'i32', shape: [columns], optional: true };
  const zeros = rowBuffer('u8', [grids, groups]);

  return {
    parts: [packed, scale, shape, ...(symmetric ? [] : [zero]), ...(granularity === 'group' ? [order] : [])],
    async write(rowStart, value, to) {
      const { codes, scales, zeroPoints, groupIndex, shape: rows } = value as AffineTensor;
      if (rowStart === 0) {
        await to.write(shape.name, tensor('i64', [2], BigInt64Array.of(BigInt(out), BigInt(columns))));
        if (groupIndex) {
          onOrdered(module);
          await to.write(order.name, tensor('i32', [columns], groupIndex));
        }
      }
      await to.write(packed.name, await packRows(backend, tensor('u8', rows, codes), bits), rowStart);
      if (whole && rowStart > 0) return;
      const stored = storedScales(scales, dtype, planned.name);
      await to.write(scale.name, { ...stored, shape: whole ? [1] : stored.shape }, rowStart);
      const points = symmetric ? undefined : zeros.add(rowStart, zeroPoints);
      if (!points) return;
      // The format's codes are signed: ours minus 2^(bits−1); packed words add the same offset again.
      const signed = Int8Array.of(Number(points.data[0]) - 2 ** (bits - 1));
      await to.write(zero.name, whole ? tensor('i8', [1], signed) : await packColumns(backend, points, bits));
    },
  };
}

/** Scales of a row. */
export function gridColumns(scheme: AffineScheme, columns: number, name: string): number {
  if (scheme.granularity !== 'group') return 1;
  const groupSize = schemeGroupSize(scheme, columns);
  if (columns % groupSize !== 0)
    throw new CalibrantError(
      'UNSUPPORTED',
      `The group size ${groupSize} does not divide the ${columns} inputs of ${name}, and compressed-tensors has no shorter last group. Use a group size that divides ${columns}, or one scale per row (int${scheme.bits}-channel).`,
      { tensor: name, option: 'recipe.scheme' },
    );
  return groupsPerRow(columns, groupSize);
}

export function scaleDtype(planned: PlannedTensor, { facts, options }: WeightInput): DType {
  if (options.scaleDtype !== 'auto') return options.scaleDtype;
  return sourceScaleDtype(planned, facts) ?? sourceFloat(planned.source, facts);
}
