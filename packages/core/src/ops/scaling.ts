import { CalibrantError } from '../errors.js';
import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import { dequantizeAffine, type FitAttributes, fitAffine, roundAffine } from './affine.js';
import { expectDtype, expectShape } from './check.js';

/**
 * How large each channel of `x [tokens, n]` f32 is: `peaks [n]` f32 is `max |x|`, `sums [n]` f64 is `Σ |x|` over the tokens in their order. Both are 0 without tokens.
 */
export const channelMagnitudes = defineKernel<'x', 'peaks' | 'sums', Record<string, never>>({
  name: 'core.channelMagnitudes',
  inputs: { x: { role: 'whole' } },
  outputs: { peaks: { role: 'whole' }, sums: { role: 'whole' } },
  infer({ x }) {
    expectShape('channelMagnitudes', 'x', x, [undefined, undefined]);
    expectDtype('channelMagnitudes', 'x', x, 'f32');
    return { peaks: { dtype: 'f32', shape: [x.shape[1]] }, sums: { dtype: 'f64', shape: [x.shape[1]] } };
  },
  reference({ x }) {
    const [count, n] = x.shape;
    const peaks = new Float32Array(n);
    const sums = new Float64Array(n);
    for (let at = 0; at < count * n; at++) {
      const magnitude = Math.abs(x.data[at] as number);
      if (magnitude > peaks[at % n]) peaks[at % n] = magnitude;
      sums[at % n] += magnitude;
    }
    return { peaks: tensor('f32', [n], peaks), sums: tensor('f64', [n], sums) };
  },
});

/** `y[r, c] = w[r, c] · rowFactors[r] · columnFactors[c]`, f32, each product rounded; factors that are left out are 1. */
export const scaleMatrix = defineKernel<'w' | 'rowFactors' | 'columnFactors', 'y', Record<string, never>>({
  name: 'core.scaleMatrix',
  inputs: { w: { role: 'rows' }, rowFactors: { role: 'rows', optional: true }, columnFactors: { role: 'whole', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ w, rowFactors, columnFactors }) {
    expectShape('scaleMatrix', 'w', w, [undefined, undefined]);
    expectDtype('scaleMatrix', 'w', w, 'f32');
    if (rowFactors) expectShape('scaleMatrix', 'rowFactors', rowFactors, [w.shape[0]]);
    if (columnFactors) expectShape('scaleMatrix', 'columnFactors', columnFactors, [w.shape[1]]);
    for (const factors of [rowFactors, columnFactors]) if (factors) expectDtype('scaleMatrix', 'factors', factors, 'f32');
    return { y: w };
  },
  reference({ w, rowFactors, columnFactors }) {
    const [count, columns] = w.shape;
    const y = tensor('f32', w.shape);
    for (let r = 0; r < count; r++) {
      const rowFactor = rowFactors ? Number(rowFactors.data[r]) : 1;
      for (let c = 0; c < columns; c++)
        y.data[r * columns + c] =
          Math.fround(Number(w.data[r * columns + c]) * rowFactor) * (columnFactors ? Number(columnFactors.data[c]) : 1);
    }
    return { y };
  },
});

/** `sums [rows, 1]` f64 is `Σ (a − b)²` over each row of two f32 matrices; the differences are rounded to f32, the sums made in f64. */
export const squaredErrors = defineKernel<'a' | 'b', 'sums', Record<string, never>>({
  name: 'core.squaredErrors',
  inputs: { a: { role: 'rows' }, b: { role: 'rows' } },
  outputs: { sums: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ a, b }) {
    expectShape('squaredErrors', 'a', a, [undefined, undefined]);
    expectDtype('squaredErrors', 'a', a, 'f32');
    expectShape('squaredErrors', 'b', b, a.shape);
    expectDtype('squaredErrors', 'b', b, 'f32');
    return { sums: { dtype: 'f64', shape: [a.shape[0], 1] } };
  },
  reference({ a, b }) {
    const [count, columns] = a.shape;
    const sums = new Float64Array(count);
    // Two sums, of the even and of the odd columns, as two lanes of a vector make them.
    for (let r = 0; r < count; r++) {
      const parts = [0, 0];
      for (let c = 0; c < columns; c++) {
        const difference = Math.fround(Number(a.data[r * columns + c]) - Number(b.data[r * columns + c]));
        parts[c % 2] += difference * difference;
      }
      sums[r] = parts[0] + parts[1];
    }
    return { sums: tensor('f64', [count, 1], sums) };
  },
});

/**
 * What a weight becomes on an integer grid that is fitted to it: `y = Q(w)`, or with `factors [columns]` (positive) `y = Q(w · factors) / factors`.
 * Q is {@link fitAffine}, `roundAffine` and `dequantizeAffine`, operation by operation; products and quotients with factors are rounded to f32.
 */
export const fakeQuantizeAffine = defineKernel<'w' | 'factors', 'y', FitAttributes>({
  name: 'core.fakeQuantizeAffine',
  inputs: { w: { role: 'rows' }, factors: { role: 'whole', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ w, factors }, attributes) {
    fitAffine.infer({ w }, attributes);
    if (factors) {
      expectShape('fakeQuantizeAffine', 'factors', factors, [w.shape[1]]);
      expectDtype('fakeQuantizeAffine', 'factors', factors, 'f32');
    }
    if (attributes.groupSize > 2 ** 30) throw new CalibrantError('INVALID_ARGUMENT', 'fakeQuantizeAffine: the group size is too large.');
    return { y: w };
  },
  reference({ w, factors }, attributes) {
    const [count, columns] = w.shape;
    const range = { start: 0, end: count };
    const scaled = factors ? scaleMatrix.reference({ w, columnFactors: factors } as never, {}, range).y : w;
    const grid = fitAffine.reference({ w: scaled }, attributes, range);
    const { codes } = roundAffine.reference({ w: scaled, ...grid } as never, attributes, range);
    const { w: y } = dequantizeAffine.reference({ codes, ...grid } as never, attributes, range);
    if (factors) for (let at = 0; at < y.data.length; at++) y.data[at] = Number(y.data[at]) / Number(factors.data[at % columns]);
    return { y };
  },
});
