import { type Codebook, nearestCode, sortCodebook } from '../codebook.js';
import { CalibrantError } from '../errors.js';
import { defineKernel } from '../kernel.js';
import { type TensorSpec, tensor } from '../tensor.js';
import { groupsPerRow } from './affine.js';
import { expectDtype, expectShape } from './check.js';

export interface FitCodebookAttributes {
  /** Inputs per group; the row length for one scale per row. */
  readonly groupSize: number;
  /** The codebook's largest magnitude, which the group's largest magnitude is mapped to: 1 for NF4, 6 for E2M1. */
  readonly largest: number;
}

export interface RoundCodebookAttributes {
  readonly groupSize: number;
  readonly ties: Codebook['ties'];
}

/** The scale of each group of a row by its largest magnitude: `scale = absmax / largest` in f32; an all-zero group gets scale 1. */
export const fitCodebook = defineKernel<'w', 'scales', FitCodebookAttributes>({
  name: 'core.fitCodebook',
  inputs: { w: { role: 'rows' } },
  outputs: { scales: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w }, { groupSize, largest }) {
    expectShape('fitCodebook', 'w', w, [undefined, undefined]);
    expectDtype('fitCodebook', 'w', w, 'f32');
    if (!(groupSize > 0) || !(largest > 0))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `fitCodebook: group size and largest value must be positive, found ${groupSize} and ${largest}.`,
      );
    return { scales: { dtype: 'f32', shape: [w.shape[0], groupsPerRow(w.shape[1], groupSize)] } };
  },
  reference({ w }, { groupSize, largest }) {
    const [count, columns] = w.shape;
    const groups = groupsPerRow(columns, groupSize);
    const scales = tensor('f32', [count, groups]);
    const wv = w.data as Float32Array;
    for (let r = 0; r < count; r++)
      for (let g = 0; g < groups; g++) {
        let absmax = 0;
        for (let c = g * groupSize; c < Math.min(columns, (g + 1) * groupSize); c++)
          absmax = Math.max(absmax, Math.abs(wv[r * columns + c]));
        const scale = Math.fround(absmax / largest);
        scales.data[r * groups + g] = scale > 0 ? scale : 1;
      }
    return { scales };
  },
});

/** Rounds weights to the nearest value of a codebook `[entries ≤ 256]` (in the order of the codes): `code = nearest(w / scale)`, the quotient in f32. */
export const roundCodebook = defineKernel<'w' | 'scales' | 'codebook', 'codes', RoundCodebookAttributes>({
  name: 'core.roundCodebook',
  inputs: { w: { role: 'rows' }, scales: { role: 'rows' }, codebook: { role: 'whole' } },
  outputs: { codes: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, scales, codebook }, { groupSize }) {
    inferCodebook('roundCodebook', 'w', w, scales, codebook, groupSize);
    expectDtype('roundCodebook', 'w', w, 'f32');
    return { codes: { dtype: 'u8', shape: w.shape } };
  },
  reference({ w, scales, codebook }, { groupSize, ties }) {
    const [count, columns] = w.shape;
    const groups = scales.shape[1];
    const sorted = sortCodebook({ values: codebook.data as Float32Array, ties });
    const codes = tensor('u8', w.shape);
    const [wv, sv] = [w.data, scales.data] as Float32Array[];
    for (let r = 0; r < count; r++)
      for (let c = 0; c < columns; c++) {
        const at = r * columns + c;
        codes.data[at] = nearestCode(sorted, Math.fround(wv[at] / sv[r * groups + Math.floor(c / groupSize)]));
      }
    return { codes };
  },
});

/** `w = scale · codebook[code]` in f32. */
export const dequantizeCodebook = defineKernel<'codes' | 'scales' | 'codebook', 'w', { readonly groupSize: number }>({
  name: 'core.dequantizeCodebook',
  inputs: { codes: { role: 'rows' }, scales: { role: 'rows' }, codebook: { role: 'whole' } },
  outputs: { w: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ codes, scales, codebook }, { groupSize }) {
    inferCodebook('dequantizeCodebook', 'codes', codes, scales, codebook, groupSize);
    expectDtype('dequantizeCodebook', 'codes', codes, 'u8');
    return { w: { dtype: 'f32', shape: codes.shape } };
  },
  reference({ codes, scales, codebook }, { groupSize }) {
    const [count, columns] = codes.shape;
    const groups = scales.shape[1];
    const w = tensor('f32', codes.shape);
    const [sv, values] = [scales.data, codebook.data] as Float32Array[];
    for (let r = 0; r < count; r++)
      for (let c = 0; c < columns; c++) {
        const code = codes.data[r * columns + c] as number;
        if (code >= values.length)
          throw new CalibrantError(
            'INVALID_ARGUMENT',
            `dequantizeCodebook: code ${code} is outside a codebook of ${values.length} entries.`,
          );
        w.data[r * columns + c] = sv[r * groups + Math.floor(c / groupSize)] * values[code];
      }
    return { w };
  },
});

function inferCodebook(
  operation: string,
  operand: string,
  w: TensorSpec,
  scales: TensorSpec,
  codebook: TensorSpec,
  groupSize: number,
): void {
  expectShape(operation, operand, w, [undefined, undefined]);
  expectShape(operation, 'scales', scales, [w.shape[0], groupsPerRow(w.shape[1], groupSize)]);
  expectDtype(operation, 'scales', scales, 'f32');
  expectShape(operation, 'codebook', codebook, [undefined]);
  expectDtype(operation, 'codebook', codebook, 'f32');
  if (!(codebook.shape[0] >= 1 && codebook.shape[0] <= 256))
    throw new CalibrantError('SHAPE_MISMATCH', `${operation}: a codebook has 1 to 256 entries, found ${codebook.shape[0]}.`);
}
