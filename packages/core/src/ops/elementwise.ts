import { CalibrantError } from '../errors.js';
import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

/** `gelu` is the exact erf form, `geluTanh` its tanh approximation. */
export type ActivationKind = 'silu' | 'gelu' | 'geluTanh' | 'relu';

/** Abramowitz–Stegun would be too coarse here: erf by its Taylor series (|x| < 3) and a continued fraction beyond, to f64 accuracy. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + fraction) * Math.sqrt(Math.PI)));
}

const ACTIVATIONS: Readonly<Record<ActivationKind, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: (x) => Math.max(0, x),
};

/** `y = f(x)`, or `y = f(x) · up` for a gated MLP. */
export const activation = defineKernel<'x' | 'up', 'y', { readonly kind: ActivationKind }>({
  name: 'core.activation',
  inputs: { x: { role: 'rows' }, up: { role: 'rows', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x, up }, { kind }) {
    if (!Object.hasOwn(ACTIVATIONS, kind)) throw new CalibrantError('UNSUPPORTED', `Unknown activation "${kind}".`);
    expectDtype('activation', 'x', x, 'f32');
    if (!up) return { y: x };
    expectShape('activation', 'up', up, x.shape);
    expectDtype('activation', 'up', up, 'f32');
    return { y: x };
  },
  reference({ x, up }, { kind }) {
    const f = ACTIVATIONS[kind];
    const y = tensor('f32', x.shape);
    const [xv, uv, yv] = [x.data, up?.data, y.data] as Float32Array[];
    for (let i = 0; i < xv.length; i++) yv[i] = up ? Math.fround(f(xv[i])) * uv[i] : f(xv[i]);
    return { y };
  },
});

/** `y = a + scale · b` of equal shapes, f32; scale is 1 if absent. */
export const add = defineKernel<'a' | 'b', 'y', { readonly scale?: number }>({
  name: 'core.add',
  inputs: { a: { role: 'rows' }, b: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ a, b }) {
    expectDtype('add', 'a', a, 'f32');
    expectShape('add', 'b', b, a.shape);
    expectDtype('add', 'b', b, 'f32');
    return { y: a };
  },
  reference({ a, b }, { scale = 1 }) {
    const y = tensor('f32', a.shape);
    const [av, bv, yv] = [a.data, b.data, y.data] as Float32Array[];
    for (let i = 0; i < av.length; i++) yv[i] = av[i] + Math.fround(Math.fround(scale) * bv[i]);
    return { y };
  },
});

/** `y = scale · x`, f32. */
export const scale = defineKernel<'x', 'y', { readonly scale: number }>({
  name: 'core.scale',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x }) {
    expectDtype('scale', 'x', x, 'f32');
    return { y: x };
  },
  reference({ x }, { scale: factor }) {
    const y = tensor('f32', x.shape);
    const [xv, yv] = [x.data, y.data] as Float32Array[];
    for (let i = 0; i < xv.length; i++) yv[i] = Math.fround(factor) * xv[i];
    return { y };
  },
});
