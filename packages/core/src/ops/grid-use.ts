import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import type { GridAttributes } from './affine.js';
import { expectDtype, expectShape } from './check.js';

/** Beyond the last code by this part of a step counts as clipped: half a step is rounding, the rest of f32. */
const BEYOND = Math.fround(0.501);

/**
 * How rounded weights use their grid: per row how often each code occurs, `counts [rows, 2^bits]` i32, and how many weights were `clipped [rows]` i32, that is had the
 * first or last code and were more than half a step away from it.
 */
export const gridUse = defineKernel<'w' | 'codes' | 'scales' | 'zeroPoints', 'counts' | 'clipped', GridAttributes>({
  name: 'core.gridUse',
  inputs: { w: { role: 'rows' }, codes: { role: 'rows' }, scales: { role: 'rows' }, zeroPoints: { role: 'rows' } },
  outputs: { counts: { role: 'rows' }, clipped: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, codes, scales, zeroPoints }, { bits }) {
    expectShape('gridUse', 'w', w, [undefined, undefined]);
    expectDtype('gridUse', 'w', w, 'f32');
    expectShape('gridUse', 'codes', codes, w.shape);
    expectDtype('gridUse', 'codes', codes, 'u8');
    expectShape('gridUse', 'scales', scales, [w.shape[0], undefined]);
    expectDtype('gridUse', 'scales', scales, 'f32');
    expectShape('gridUse', 'zeroPoints', zeroPoints, scales.shape);
    expectDtype('gridUse', 'zeroPoints', zeroPoints, 'u8');
    return { counts: { dtype: 'i32', shape: [w.shape[0], 2 ** bits] }, clipped: { dtype: 'i32', shape: [w.shape[0]] } };
  },
  reference({ w, codes, scales, zeroPoints }, { bits, groupSize }) {
    const [rows, columns] = w.shape;
    const groups = scales.shape[1];
    const top = 2 ** bits - 1;
    const counts = tensor('i32', [rows, top + 1]);
    const clipped = tensor('i32', [rows]);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const code = codes.data[r * columns + c] as number;
        (counts.data as Int32Array)[r * (top + 1) + code]++;
        if (code > 0 && code < top) continue;
        const at = r * groups + Math.floor(c / groupSize);
        const scale = scales.data[at] as number;
        const value = Math.fround(scale * (code - (zeroPoints.data[at] as number)));
        const off = Math.fround((w.data[r * columns + c] as number) - value);
        const limit = Math.fround(scale * BEYOND);
        if (code === 0 ? -off > limit : off > limit) (clipped.data as Int32Array)[r]++;
      }
    return { counts, clipped };
  },
});
