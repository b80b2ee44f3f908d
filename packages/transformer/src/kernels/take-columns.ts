import { CalibrantError, defineKernel, describeSpec, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

export interface TakeColumnsAttributes {
  /** Runs of equal length that a row consists of. */
  readonly groups: number;
  /** First column of a run that is taken. */
  readonly start: number;
  /** Columns of a run that are taken. */
  readonly width: number;
}

/**
 * The same columns of each of several runs of a row, side by side: `x [rows, groups · n]` to `y [rows, groups · width]`, f32. Takes query, key or value out
 * of a fused projection, whether they lie one after another (one group) or side by side for each head or group of heads.
 */
export const takeColumns = defineKernel<'x', 'y', TakeColumnsAttributes>({
  name: 'transformer.takeColumns',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ x }, { groups, start, width }) {
    expectShape('takeColumns', 'x', x, [undefined, undefined]);
    expectDtype('takeColumns', 'x', x, 'f32');
    const length = x.shape[1] / groups;
    if (!(Number.isInteger(length) && start >= 0 && width >= 0 && start + width <= length))
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `takeColumns: columns ${start} to ${start + width} of each of ${groups} equal runs are outside ${describeSpec(x)}.`,
      );
    return { y: { dtype: 'f32', shape: [x.shape[0], groups * width] } };
  },
  reference({ x }, { groups, start, width }) {
    const count = x.shape[0];
    const length = x.shape[1] / groups;
    const y = tensor('f32', [count, groups * width]);
    const [xv, yv] = [x.data, y.data] as Float32Array[];
    for (let run = 0; run < count * groups; run++) yv.set(xv.subarray(run * length + start, run * length + start + width), run * width);
    return { y };
  },
  wasm: {
    module: wasmModule,
    function: 'takeColumns',
    scalars: ({ x }, { groups, start, width }) => [groups, (x?.shape[1] ?? 0) / groups, start, width],
  },
});
