import { defineKernel, expectDtype, expectShape, fakeQuantizeAffine, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/**
 * Gram matrices of the groups of channels of `x [tokens, n]` f32, one below the other: `h[i, j] = Σ_t x[t, i] · x[t, first(i) + j]` with `first(i)` the first channel of i's group, `[n, groupSize]` f32, sums in
 * f64. The group size divides n.
 */
export const groupGrams = defineKernel<'x', 'h', { readonly groupSize: number }>({
  name: 'awq.groupGrams',
  inputs: { x: { role: 'whole' } },
  outputs: { h: { role: 'whole' } },
  infer({ x }, { groupSize }) {
    expectShape('groupGrams', 'x', x, [undefined, undefined]);
    expectDtype('groupGrams', 'x', x, 'f32');
    return { h: { dtype: 'f32', shape: [x.shape[1], groupSize] } };
  },
  reference({ x }, { groupSize }) {
    const [tokens, n] = x.shape;
    const h = tensor('f32', [n, groupSize]);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < groupSize; j++) {
        const other = i - (i % groupSize) + j;
        let sum = 0;
        for (let t = 0; t < tokens; t++) sum += (x.data[t * n + i] as number) * (x.data[t * n + other] as number);
        h.data[i * groupSize + j] = sum;
      }
    return { h };
  },
  wasm: { module: wasmModule, function: 'groupGrams', scalars: ({ x }, { groupSize }) => [x!.shape[0], x!.shape[1], groupSize] },
});

export interface SearchClipAttributes {
  readonly bits: number;
  readonly groupSize: number;
  readonly symmetric: boolean;
  /** Ranges tried: `1 − i / (2 · steps)` of the group's largest magnitude, i = 0 … steps − 1. */
  readonly steps: number;
}

/**
 * Clips each group of a weight where rounding it then changes the group's part of the outputs least: for each range c, `d = Q(clamp(w, −c, c)) − w` and the error `dᵀ H d` with H the Gram
 * matrix of the group's inputs ({@link groupGrams}). Ties go to the larger range. `errors [rows, 2]` f64 are the sums over a row's groups without and with clipping.
 */
export const searchClip = defineKernel<'w' | 'h', 'clipped' | 'errors', SearchClipAttributes>({
  name: 'awq.searchClip',
  inputs: { w: { role: 'rows' }, h: { role: 'whole' } },
  outputs: { clipped: { role: 'rows' }, errors: { role: 'rows' } },
  chunkRows: () => 32,
  infer({ w, h }, { groupSize }) {
    expectShape('searchClip', 'w', w, [undefined, undefined]);
    expectDtype('searchClip', 'w', w, 'f32');
    expectShape('searchClip', 'h', h, [w.shape[1], groupSize]);
    expectDtype('searchClip', 'h', h, 'f32');
    return { clipped: w, errors: { dtype: 'f64', shape: [w.shape[0], 2] } };
  },
  reference({ w, h }, attributes) {
    const [count, columns] = w.shape;
    const { groupSize, steps } = attributes;
    const clipped = tensor('f32', w.shape, Float32Array.from(w.data as Float32Array));
    const errors = tensor('f64', [count, 2]);
    for (let r = 0; r < count; r++)
      for (let start = 0; start < columns; start += groupSize) {
        const group = (w.data as Float32Array).subarray(r * columns + start, r * columns + start + groupSize);
        const largest = group.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
        const gram = (h.data as Float32Array).subarray(start * groupSize, (start + groupSize) * groupSize);
        let best = { error: Infinity, bound: largest };
        for (let step = 0; step < steps; step++) {
          const bound = Math.fround(largest * Math.fround(1 - step / (2 * steps)));
          const error = clipError(group, clamp(group, bound), gram, attributes);
          if (step === 0) (errors.data as Float64Array)[2 * r] += error;
          if (error < best.error) best = { error, bound };
        }
        (errors.data as Float64Array)[2 * r + 1] += best.error;
        (clipped.data as Float32Array).set(clamp(group, best.bound), r * columns + start);
      }
    return { clipped, errors };
  },
  wasm: {
    module: wasmModule,
    function: 'searchClip',
    scalars: ({ w }, { bits, groupSize, symmetric, steps }) => [w!.shape[1], bits, groupSize, Number(symmetric), steps],
  },
});

function clamp(values: Float32Array, bound: number): Float32Array {
  return values.map((value) => Math.max(-bound, Math.min(bound, value)));
}

function clipError(w: Float32Array, clamped: Float32Array, gram: Float32Array, attributes: SearchClipAttributes): number {
  const n = w.length;
  const { y } = fakeQuantizeAffine.reference(
    { w: tensor('f32', [1, n], clamped), factors: undefined as never },
    { ...attributes, groupSize: n },
    { start: 0, end: 1 },
  );
  const d = w.map((value, i) => Math.fround((y.data[i] as number) - value));
  let error = 0;
  for (let i = 0; i < n; i++) {
    // Four partial sums in f32, as four lanes of a vector make them.
    const parts = new Float32Array(4);
    for (let j = 0; j < n; j++) parts[j % 4] += Math.fround(gram[i * n + j] * d[j]);
    error += d[i] * Math.fround(Math.fround(parts[0] + parts[1]) + Math.fround(parts[2] + parts[3]));
  }
  return error;
}
