import { CalibrantError } from '../errors.js';
import { decodeOne, encodeOne } from '../float-codecs.js';
import { defineKernel } from '../kernel.js';
import { type TensorSpec, tensor } from '../tensor.js';
import { groupsPerRow } from './affine.js';
import { expectDtype, expectShape } from './check.js';
import { E4M3_MAX } from './fake-quantize.js';

interface GroupAttributes {
  /** Inputs per group; the row length for one scale per row. */
  readonly groupSize: number;
}

/** The largest magnitude of each group of a row, f32 `[rows, groups]`; 0 for a group of zeros. */
export const groupMagnitudes = defineKernel<'w', 'magnitudes', GroupAttributes>({
  name: 'core.groupMagnitudes',
  inputs: { w: { role: 'rows' } },
  outputs: { magnitudes: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w }, { groupSize }) {
    expectShape('groupMagnitudes', 'w', w, [undefined, undefined]);
    expectDtype('groupMagnitudes', 'w', w, 'f32');
    if (!(groupSize > 0))
      throw new CalibrantError('INVALID_ARGUMENT', `groupMagnitudes: the group size must be positive, found ${groupSize}.`);
    return { magnitudes: { dtype: 'f32', shape: [w.shape[0], groupsPerRow(w.shape[1], groupSize)] } };
  },
  reference({ w }, { groupSize }) {
    const [rows, columns] = w.shape;
    const groups = groupsPerRow(columns, groupSize);
    const magnitudes = tensor('f32', [rows, groups]);
    const [values, found] = [w.data, magnitudes.data] as Float32Array[];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const at = r * groups + Math.floor(c / groupSize);
        found[at] = Math.max(found[at], Math.abs(values[r * columns + c]));
      }
    return { magnitudes };
  },
});

/** Bit patterns of E4M3: `code = e4m3(clamp(w / scale, ±448))`, the quotient in f32, ties to even. `scales` f32 `[rows, groups]`. */
export const roundMinifloat = defineKernel<'w' | 'scales', 'codes', GroupAttributes>({
  name: 'core.roundMinifloat',
  inputs: { w: { role: 'rows' }, scales: { role: 'rows' } },
  outputs: { codes: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, scales }, { groupSize }) {
    expectDtype('roundMinifloat', 'w', w, 'f32');
    return { codes: { dtype: 'u8', shape: grid('roundMinifloat', w, scales, groupSize) } };
  },
  reference({ w, scales }, { groupSize }) {
    const [rows, columns] = w.shape;
    const groups = scales.shape[1];
    const codes = tensor('u8', w.shape);
    const [values, steps] = [w.data, scales.data] as Float32Array[];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const quotient = Math.fround(values[r * columns + c] / steps[r * groups + Math.floor(c / groupSize)]);
        codes.data[r * columns + c] = encodeOne('f8_e4m3', Math.max(-E4M3_MAX, Math.min(E4M3_MAX, quotient)));
      }
    return { codes };
  },
});

/** `w = scale · e4m3(code)` in f32. */
export const dequantizeMinifloat = defineKernel<'codes' | 'scales', 'w', GroupAttributes>({
  name: 'core.dequantizeMinifloat',
  inputs: { codes: { role: 'rows' }, scales: { role: 'rows' } },
  outputs: { w: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ codes, scales }, { groupSize }) {
    expectDtype('dequantizeMinifloat', 'codes', codes, 'u8');
    return { w: { dtype: 'f32', shape: grid('dequantizeMinifloat', codes, scales, groupSize) } };
  },
  reference({ codes, scales }, { groupSize }) {
    const [rows, columns] = codes.shape;
    const groups = scales.shape[1];
    const w = tensor('f32', codes.shape);
    const [patterns, steps] = [codes.data as Uint8Array, scales.data as Float32Array];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const at = r * columns + c;
        w.data[at] = steps[r * groups + Math.floor(c / groupSize)] * decodeOne('f8_e4m3', patterns[at]);
      }
    return { w };
  },
});

function grid(operation: string, w: TensorSpec, scales: TensorSpec, groupSize: number): readonly number[] {
  expectShape(operation, 'w', w, [undefined, undefined]);
  expectShape(operation, 'scales', scales, [w.shape[0], groupsPerRow(w.shape[1], groupSize)]);
  expectDtype(operation, 'scales', scales, 'f32');
  return w.shape;
}
