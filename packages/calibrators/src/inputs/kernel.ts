import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** Bins of a histogram: half of them for negative values. */
export const HISTOGRAM_BINS = 4096;

/** The exponent of values that are all 0: that of the smallest normal number. */
export const LEAST_EXPONENT = -136;

/** The bins' exponent for values up to a magnitude, `⌊log2 most⌋ − 10`, so that half of the bins reach beyond it. */
export function exponentFor(most: number): number {
  if (most === 0) return LEAST_EXPONENT;
  const bits = new Uint32Array(Float32Array.of(most).buffer)[0];
  return Math.max(1, bits >>> 23) - 127 - 10;
}

/**
 * What is kept of the inputs `x [tokens, n]` f32 of a linear layer: per channel `peaks [n]` f32 is `max |x|`, `sums [n]` f64 `Σ |x|` and `squares [n]` f64 `Σ x²`; over all, `range [2]` f32 from the least to
 * the greatest value (0 included), and a histogram `counts [4096]` i32 with bins of `2^exponent`, see `ValueHistogram`. Values that are not finite are counted in `notFinite` and else passed over.
 */
export const inputStatistics = defineKernel<
  'x',
  'peaks' | 'sums' | 'squares' | 'range' | 'exponent' | 'counts' | 'notFinite',
  Record<string, never>
>({
  name: 'calibrators.inputStatistics',
  inputs: { x: { role: 'whole' } },
  outputs: {
    peaks: { role: 'whole' },
    sums: { role: 'whole' },
    squares: { role: 'whole' },
    range: { role: 'whole' },
    exponent: { role: 'whole' },
    counts: { role: 'whole' },
    notFinite: { role: 'whole' },
  },
  infer({ x }) {
    expectShape('inputStatistics', 'x', x, [undefined, undefined]);
    expectDtype('inputStatistics', 'x', x, 'f32');
    const n = x.shape[1];
    return {
      peaks: { dtype: 'f32', shape: [n] },
      sums: { dtype: 'f64', shape: [n] },
      squares: { dtype: 'f64', shape: [n] },
      range: { dtype: 'f32', shape: [2] },
      exponent: { dtype: 'i32', shape: [1] },
      counts: { dtype: 'i32', shape: [HISTOGRAM_BINS] },
      notFinite: { dtype: 'i32', shape: [1] },
    };
  },
  reference({ x }) {
    const n = x.shape[1];
    const [peaks, sums, squares] = [new Float32Array(n), new Float64Array(n), new Float64Array(n)];
    const counts = new Int32Array(HISTOGRAM_BINS);
    const values = x.data as Float32Array;
    const finite = values.filter(Number.isFinite);
    let [low, high] = [0, 0];
    for (const [at, value] of values.entries()) {
      if (!Number.isFinite(value)) continue;
      peaks[at % n] = Math.max(peaks[at % n], Math.abs(value));
      sums[at % n] += Math.abs(value);
      squares[at % n] += value * value;
      [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    const exponent = exponentFor(Math.max(-low, high));
    for (const value of finite) counts[Math.floor(value * 2 ** -exponent) + HISTOGRAM_BINS / 2]++;
    return {
      peaks: tensor('f32', [n], peaks),
      sums: tensor('f64', [n], sums),
      squares: tensor('f64', [n], squares),
      range: tensor('f32', [2], Float32Array.of(low, high)),
      exponent: tensor('i32', [1], Int32Array.of(exponent)),
      counts: tensor('i32', [HISTOGRAM_BINS], counts),
      notFinite: tensor('i32', [1], Int32Array.of(values.length - finite.length)),
    };
  },
  wasm: { module: wasmModule, function: 'inputStatistics', scalars: ({ x }) => [x!.shape[0], x!.shape[1]] },
});
