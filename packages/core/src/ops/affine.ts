import { CalibrantError } from '../errors.js';
import { defineKernel } from '../kernel.js';
import type { AffineScheme } from '../scheme.js';
import { type Tensor, type TensorSpec, tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

export interface FitAttributes {
  readonly bits: number;
  /** Inputs per group; the row length for one scale per row. */
  readonly groupSize: number;
  readonly symmetric: boolean;
}

/** Groups of a row, the last one possibly shorter. */
export function groupsPerRow(columns: number, groupSize: number): number {
  return Math.ceil(columns / groupSize);
}

/** The group size that a scheme means for rows of `columns`; `tensor` granularity treats the tensor as one row, see {@link fitAffine}. */
export function schemeGroupSize(scheme: AffineScheme, columns: number): number {
  return scheme.granularity === 'group' ? (scheme.groupSize ?? columns) : columns;
}

/**
 * Scale and zero point of each group of a row by its minimum and maximum (range extended to hold 0):
 *
 * - asymmetric: `scale = (max − min) / (2^bits − 1)`, `zeroPoint = round(−min / scale)`
 * - symmetric: `scale = 2 · absmax / (2^bits − 1)`, `zeroPoint = 2^(bits−1)`
 *
 * in f32 arithmetic, rounding half to even; an all-zero group gets scale 1 (and zero point 0, or 2^(bits−1) if symmetric). This is the grid of GPTQ's quantizer
 * (Frantar et al., arXiv 2210.17323, reference code) and of compressed-tensors. For one scale per tensor, pass the tensor reshaped to one row.
 */
export const fitAffine = defineKernel<'w', 'scales' | 'zeroPoints', FitAttributes>({
  name: 'core.fitAffine',
  inputs: { w: { role: 'rows' } },
  outputs: { scales: { role: 'rows' }, zeroPoints: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w }, { groupSize, bits }) {
    expectShape('fitAffine', 'w', w, [undefined, undefined]);
    expectDtype('fitAffine', 'w', w, 'f32');
    if (!(bits >= 1 && bits <= 8) || !(groupSize > 0))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `fitAffine: bits must be 1 to 8 and the group size positive, found ${bits} and ${groupSize}.`,
      );
    const shape = [w.shape[0], groupsPerRow(w.shape[1], groupSize)];
    return { scales: { dtype: 'f32', shape }, zeroPoints: { dtype: 'u8', shape } };
  },
  reference({ w }, { bits, groupSize, symmetric }) {
    const [count, columns] = w.shape;
    const groups = groupsPerRow(columns, groupSize);
    const scales = tensor('f32', [count, groups]);
    const zeroPoints = tensor('u8', [count, groups]);
    const wv = w.data as Float32Array;
    for (let r = 0; r < count; r++)
      for (let g = 0; g < groups; g++) {
        let [min, max] = [0, 0];
        for (let c = g * groupSize; c < Math.min(columns, (g + 1) * groupSize); c++) {
          const value = wv[r * columns + c];
          if (value < min) min = value;
          if (value > max) max = value;
        }
        const at = r * groups + g;
        [scales.data[at], zeroPoints.data[at]] = gridOfRange(min, max, bits, symmetric);
      }
    return { scales, zeroPoints };
  },
});

/** Scale and zero point of the grid that spans f32 `low ≤ 0 ≤ high`, by the formulas of {@link fitAffine}. */
export function gridOfRange(low: number, high: number, bits: number, symmetric: boolean): [scale: number, zeroPoint: number] {
  const levels = 2 ** bits - 1;
  const [min, max] = symmetric ? [-Math.max(-low, high), Math.max(-low, high)] : [low, high];
  const range = Math.fround(max - min);
  const scale = range > 0 ? Math.fround(range / levels) : 0;
  const zeroPoint = symmetric ? 2 ** (bits - 1) : scale > 0 ? Math.min(levels, roundHalfEven(Math.fround(-min / scale))) : 0;
  return [scale > 0 ? scale : 1, zeroPoint];
}

/** {@link gridOfRange} of each of `lows` and `highs`, f32 `[rows, groups]`. */
export function gridOfRanges(
  lows: Tensor,
  highs: Tensor,
  { bits, symmetric }: Pick<FitAttributes, 'bits' | 'symmetric'>,
): { scales: Tensor; zeroPoints: Tensor } {
  const scales = tensor('f32', lows.shape);
  const zeroPoints = tensor('u8', lows.shape);
  for (let i = 0; i < lows.data.length; i++)
    [scales.data[i], zeroPoints.data[i]] = gridOfRange(lows.data[i] as number, highs.data[i] as number, bits, symmetric);
  return { scales, zeroPoints };
}

/** Nearest integer, ties to even, for |x| < 2^51. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export interface GridAttributes {
  readonly bits: number;
  readonly groupSize: number;
}

function inferGrid(
  operation: string,
  w: TensorSpec,
  scales: TensorSpec,
  zeroPoints: TensorSpec,
  groupIndex: TensorSpec | undefined,
  groupSize: number,
) {
  expectShape(operation, 'w', w, [undefined, undefined]);
  const groups = groupIndex ? scales.shape[1] : groupsPerRow(w.shape[1], groupSize);
  expectShape(operation, 'scales', scales, [w.shape[0], groups]);
  expectDtype(operation, 'scales', scales, 'f32');
  expectShape(operation, 'zeroPoints', zeroPoints, scales.shape);
  expectDtype(operation, 'zeroPoints', zeroPoints, 'u8');
  if (groupIndex) {
    expectShape(operation, 'groupIndex', groupIndex, [w.shape[1]]);
    expectDtype(operation, 'groupIndex', groupIndex, 'i32');
  }
}

/**
 * Rounds weights to codes: `code = clamp(roundHalfEven(w / scale) + zeroPoint, 0, 2^bits − 1)`, the quotient in f32.
 * `groupIndex [in]` i32 names each input's group where groups are not contiguous.
 */
export const roundAffine = defineKernel<'w' | 'scales' | 'zeroPoints' | 'groupIndex', 'codes', GridAttributes>({
  name: 'core.roundAffine',
  inputs: { w: { role: 'rows' }, scales: { role: 'rows' }, zeroPoints: { role: 'rows' }, groupIndex: { role: 'whole', optional: true } },
  outputs: { codes: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, scales, zeroPoints, groupIndex }, { groupSize }) {
    inferGrid('roundAffine', w, scales, zeroPoints, groupIndex, groupSize);
    expectDtype('roundAffine', 'w', w, 'f32');
    return { codes: { dtype: 'u8', shape: w.shape } };
  },
  reference({ w, scales, zeroPoints, groupIndex }, { bits, groupSize }) {
    const [count, columns] = w.shape;
    const groups = scales.shape[1];
    const codes = tensor('u8', w.shape);
    const [wv, sv] = [w.data, scales.data] as Float32Array[];
    const index = groupIndex?.data as Int32Array | undefined;
    for (let r = 0; r < count; r++)
      for (let c = 0; c < columns; c++) {
        const at = r * groups + (index ? index[c] : Math.floor(c / groupSize));
        const code = roundHalfEven(Math.fround(wv[r * columns + c] / sv[at])) + (zeroPoints.data[at] as number);
        codes.data[r * columns + c] = Math.min(2 ** bits - 1, Math.max(0, code));
      }
    return { codes };
  },
});

/** `w = scale · (code − zeroPoint)` in f32. */
export const dequantizeAffine = defineKernel<'codes' | 'scales' | 'zeroPoints' | 'groupIndex', 'w', { readonly groupSize: number }>({
  name: 'core.dequantizeAffine',
  inputs: {
    codes: { role: 'rows' },
    scales: { role: 'rows' },
    zeroPoints: { role: 'rows' },
    groupIndex: { role: 'whole', optional: true },
  },
  outputs: { w: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ codes, scales, zeroPoints, groupIndex }, { groupSize }) {
    inferGrid('dequantizeAffine', codes, scales, zeroPoints, groupIndex, groupSize);
    expectDtype('dequantizeAffine', 'codes', codes, 'u8');
    return { w: { dtype: 'f32', shape: codes.shape } };
  },
  reference({ codes, scales, zeroPoints, groupIndex }, { groupSize }) {
    const [count, columns] = codes.shape;
    const groups = scales.shape[1];
    const w = tensor('f32', codes.shape);
    const index = groupIndex?.data as Int32Array | undefined;
    for (let r = 0; r < count; r++)
      for (let c = 0; c < columns; c++) {
        const at = r * groups + (index ? index[c] : Math.floor(c / groupSize));
        w.data[r * columns + c] = (scales.data[at] as number) * ((codes.data[r * columns + c] as number) - (zeroPoints.data[at] as number));
      }
    return { w };
  },
});
