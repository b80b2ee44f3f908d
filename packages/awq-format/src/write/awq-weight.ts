import {
  linearModule,
  type NamedTensorSpec,
  rowBuffer,
  type StoredWeight,
  sourceScaleDtype,
  storedScales,
  transposed,
} from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  type Backend,
  CalibrantError,
  type DType,
  groupsPerRow,
  type ModelFacts,
  type PlannedTensor,
  schemeGroupSize,
  tensor,
} from '@calibrant/core';
import { packNibbles } from '../nibbles.js';
import type { AwqFormatOptions } from '../options.js';

export interface AwqWeightInput {
  readonly facts: ModelFacts;
  readonly options: AwqFormatOptions;
  readonly backend: Backend;
}

/**
 * How a linear layer's weight `[out, in]` is stored: `qweight` i32 `[in, out / 8]`, `qzeros` i32 `[groups, out / 8]` and `scales` `[groups, out]`.
 *
 * @throws CalibrantError `UNSUPPORTED` for what is no linear layer inside a block, and for sizes that do not fit.
 */
export function awqWeight(planned: PlannedTensor, { facts, options, backend }: AwqWeightInput): StoredWeight {
  const { name, shape } = planned;
  const scheme = planned.scheme as AffineScheme;
  const module = linearModule(planned, facts, 'AWQ');
  const [out, columns] = shape;
  const groupSize = schemeGroupSize(scheme, columns);
  checkSizes(name, out, columns, groupSize);
  const groups = groupsPerRow(columns, groupSize);
  const dtype: DType = options.scaleDtype === 'auto' ? (sourceScaleDtype(planned, facts) ?? 'f16') : options.scaleDtype;
  const qweight: NamedTensorSpec = { name: `${module}.qweight`, dtype: 'i32', shape: [columns, out / 8] };
  const qzeros: NamedTensorSpec = { name: `${module}.qzeros`, dtype: 'i32', shape: [groups, out / 8] };
  const scales: NamedTensorSpec = { name: `${module}.scales`, dtype, shape: [groups, out] };
  const [codes, zeros, steps] = [rowBuffer('u8', [out, columns]), rowBuffer('u8', [out, groups]), rowBuffer(dtype, [out, groups])];

  return {
    parts: [qweight, qzeros, scales],
    async write(rowStart, value, to) {
      const part = value as AffineTensor;
      if (part.groupIndex) throw actOrder(name);
      const all = codes.add(rowStart, tensor('u8', part.shape, part.codes));
      const points = zeros.add(rowStart, part.zeroPoints);
      const scale = steps.add(rowStart, storedScales(part.scales, dtype, name));
      if (!all || !points || !scale) return;
      await to.write(qweight.name, await packNibbles(backend, all));
      await to.write(qzeros.name, await packNibbles(backend, points));
      await to.write(scales.name, await transposed(backend, scale));
    },
  };
}

function actOrder(name: string): CalibrantError {
  return new CalibrantError(
    'UNSUPPORTED',
    `${name} has groups that are not contiguous (act-order), and AWQ files have no place for the order. Use the method's option actOrder=group-aware or none, or the format gptq.`,
    { tensor: name, option: 'recipe.quantizer.options.actOrder' },
  );
}

function checkSizes(name: string, out: number, columns: number, groupSize: number): void {
  const refuse = (why: string) =>
    new CalibrantError('UNSUPPORTED', `${name} [${out}, ${columns}] ${why}. Keep it unquantized (recipe.keep), or use another format.`, {
      tensor: name,
      option: 'recipe.keep',
    });
  if (name === 'lm_head.weight') throw refuse('is the output projection, which no reader of AWQ files takes quantized');
  if (out % 8 !== 0) throw refuse(`has ${out} outputs, and AWQ packs eight of them into a word`);
  if (columns % groupSize !== 0) throw refuse(`has ${columns} inputs, no multiple of the group size ${groupSize}`);
}
