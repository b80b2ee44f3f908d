import { defineKernel, elementCount, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

export interface ValueCountsAttributes {
  /** Where the first bin begins, in f32. */
  readonly low: number;
  /** Bins per unit, in f32. */
  readonly perUnit: number;
  readonly bins: number;
}

/**
 * `counts [bins]` i32: values of `x` f32 by `trunc((x − low) · perUnit)` in f32, those outside in the first and last bin. `beyond [limits]` i32: values with
 * `x > upper[k]` or `x < lower[k]` (f32, exact).
 */
export const valueCounts = defineKernel<'x' | 'upper' | 'lower', 'counts' | 'beyond', ValueCountsAttributes>({
  name: 'outliers.valueCounts',
  inputs: { x: { role: 'whole' }, upper: { role: 'whole' }, lower: { role: 'whole' } },
  outputs: { counts: { role: 'whole' }, beyond: { role: 'whole' } },
  infer({ x, upper, lower }, { bins }) {
    expectDtype('valueCounts', 'x', x, 'f32');
    expectDtype('valueCounts', 'upper', upper, 'f32');
    expectShape('valueCounts', 'lower', lower, upper.shape);
    return { counts: { dtype: 'i32', shape: [bins] }, beyond: { dtype: 'i32', shape: upper.shape } };
  },
  reference({ x, upper, lower }, { low, perUnit, bins }) {
    const counts = new Int32Array(bins);
    const beyond = new Int32Array(upper.data.length);
    const [start, factor] = [Math.fround(low), Math.fround(perUnit)];
    for (const value of x.data as Float32Array) {
      const place = Math.trunc(Math.fround(Math.fround(value - start) * factor));
      counts[Math.min(Math.max(place, 0), bins - 1)]++;
      for (let k = 0; k < beyond.length; k++) if (value > (upper.data[k] as number) || value < (lower.data[k] as number)) beyond[k]++;
    }
    return { counts: tensor('i32', [bins], counts), beyond: tensor('i32', upper.shape, beyond) };
  },
  wasm: {
    module: wasmModule,
    function: 'valueCounts',
    scalars: ({ x, upper }, { low, perUnit, bins }) => [elementCount(x!.shape), elementCount(upper!.shape), low, perUnit, bins],
  },
});
