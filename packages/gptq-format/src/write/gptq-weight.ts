import {
  columnBuffer,
  linearModule,
  type NamedTensorSpec,
  packRows,
  type StoredWeight,
  sourceScaleDtype,
  storedScales,
  transposed,
  wordsFor,
} from '@calibrant/checkpoint';
import {
  type AffineScheme,
  type AffineTensor,
  CalibrantError,
  type DType,
  type FormatContext,
  groupsPerRow,
  type ModelFacts,
  type PlannedTensor,
  schemeGroupSize,
  type Tensor,
  tensor,
} from '@calibrant/core';
import type { GptqFormatOptions } from '../options.js';
import type { CheckpointVersion } from './checkpoint-version.js';

export interface GptqWeightInput {
  readonly facts: ModelFacts;
  readonly options: GptqFormatOptions;
  readonly context: FormatContext;
  readonly version: CheckpointVersion;
  /** Called for a module whose groups are not contiguous. */
  readonly onOrdered: (module: string) => void;
}

/**
 * How a linear layer's weight `[out, in]` is stored: `qweight` i32 `[in · bits / 32, out]`, `qzeros` i32 `[groups, out · bits / 32]`, `scales`
 * `[groups, out]` and `g_idx` i32 `[in]`.
 *
 * @throws CalibrantError `UNSUPPORTED` for what is no linear layer, and for sizes that do not fill whole words.
 */
export function gptqWeight(planned: PlannedTensor, { facts, options, context, version, onOrdered }: GptqWeightInput): StoredWeight {
  const { backend } = context;
  const scheme = planned.scheme as AffineScheme;
  const { bits } = scheme;
  const module = linearModule(planned, facts, 'GPTQ');
  const [out, columns] = planned.shape;
  checkWords(planned.name, bits, { outputs: out, inputs: columns });
  const groupSize = schemeGroupSize(scheme, columns);
  const groups = groupsPerRow(columns, groupSize);
  const dtype: DType = options.scaleDtype === 'auto' ? (sourceScaleDtype(planned, facts) ?? 'f16') : options.scaleDtype;
  const qweight: NamedTensorSpec = { name: `${module}.qweight`, dtype: 'i32', shape: [wordsFor(columns, bits), out] };
  const qzeros: NamedTensorSpec = { name: `${module}.qzeros`, dtype: 'i32', shape: [groups, wordsFor(out, bits)] };
  const scales: NamedTensorSpec = { name: `${module}.scales`, dtype, shape: [groups, out] };
  const order: NamedTensorSpec = { name: `${module}.g_idx`, dtype: 'i32', shape: [columns] };
  const words = columnBuffer('i32', [qweight.shape[0], out]);
  const steps = columnBuffer(dtype, [groups, out]);
  const zeros = columnBuffer('u8', [groups, out]);

  return {
    parts: [qweight, qzeros, scales, order],
    async write(rowStart, value, to) {
      const { codes, scales: fitted, zeroPoints, groupIndex, shape } = value as AffineTensor;
      if (rowStart === 0) {
        if (groupIndex) onOrdered(module);
        await to.write(order.name, tensor('i32', [columns], groupIndex ?? contiguous(columns, groupSize)));
      }
      const packed = words.add(rowStart, await transposed(backend, await packRows(backend, tensor('u8', shape, codes), bits)));
      if (packed) await to.write(qweight.name, packed);
      const scale = steps.add(rowStart, await transposed(backend, storedScales(fitted, dtype, planned.name)));
      if (scale) await to.write(scales.name, scale);
      const points = zeros.add(rowStart, await transposed(backend, zeroPoints));
      if (!points) return;
      const stored = version === 'gptq' ? minusOne(points, planned.name, context) : points;
      await to.write(qzeros.name, await packRows(backend, stored, bits));
    },
  };
}

function contiguous(columns: number, groupSize: number): Int32Array {
  return Int32Array.from({ length: columns }, (_, i) => Math.floor(i / groupSize));
}

/** Zero points as v1 stores them; 0 becomes 1 first, which was agreed to by `shiftZeroPoints`. */
function minusOne(zeroPoints: Tensor, name: string, { onEvent }: FormatContext): Tensor {
  const shifted = (zeroPoints.data as Uint8Array).reduce((count, zero) => count + Number(zero === 0), 0);
  if (shifted > 0)
    onEvent?.({
      warning: `${shifted} of ${zeroPoints.data.length} groups of ${name} have the zero point 0, which GPTQ v1 cannot hold: their values move by one step. Use version gptq_v2 to keep them.`,
      item: name,
    });
  return tensor(
    'u8',
    zeroPoints.shape,
    (zeroPoints.data as Uint8Array).map((zero) => Math.max(1, zero) - 1),
  );
}

function checkWords(name: string, bits: number, sizes: Readonly<Record<string, number>>): void {
  const step = bits === 3 ? 32 : 32 / bits;
  for (const [what, size] of Object.entries(sizes))
    if (size % step !== 0)
      throw new CalibrantError(
        'UNSUPPORTED',
        `GPTQ packs ${step} codes of ${bits} bits into whole words, and ${name} has ${size} ${what}, no multiple of ${step}. Keep it unquantized (recipe.keep), or use the format compressed-tensors.`,
        { tensor: name, option: 'recipe.keep' },
      );
}
