import { defineKernel } from '../kernel.js';
import { type TensorSpec, tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

export interface MatmulAttributes {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Factor of the product, 1 if absent. */
  readonly alpha?: number;
  /** Factor of `c`, 1 if absent. */
  readonly beta?: number;
}

/** Sizes of op(a)·op(b): `[m, k] × [k, n]`. */
export function matmulSizes(
  a: TensorSpec,
  b: TensorSpec,
  { transposeA, transposeB }: MatmulAttributes,
): { m: number; k: number; n: number } {
  return {
    m: a.shape[transposeA ? 1 : 0],
    k: a.shape[transposeA ? 0 : 1],
    n: b.shape[transposeB ? 0 : 1],
  };
}

/**
 * `y = alpha · op(a) · op(b) + beta · c` in f32 (or f64, where the backend has it). A linear layer is `a = x [tokens, in]`,
 * `b = w [out, in]` with `transposeB`, and `c` its bias. `c` is `[n]` (added to every row) or `[m, n]`.
 * Split by rows of `a` into chunks of 512 unless `transposeA` (`a` is then seen whole: use lane buffers).
 */
const definition = {
  infer(specs: Record<'a' | 'b' | 'c', TensorSpec>, attributes: MatmulAttributes): { y: TensorSpec } {
    expectShape('matmul', 'a', specs.a, [undefined, undefined]);
    expectDtype('matmul', 'a', specs.a, 'f32', 'f64');
    const { m, k, n } = matmulSizes(specs.a, specs.b, attributes);
    expectShape('matmul', 'b', specs.b, attributes.transposeB ? [undefined, k] : [k, undefined]);
    expectDtype('matmul', 'b', specs.b, specs.a.dtype);
    if (specs.c) {
      expectShape('matmul', 'c', specs.c, specs.c.shape.length === 1 ? [n] : [m, n]);
      expectDtype('matmul', 'c', specs.c, specs.a.dtype);
    }
    return { y: { dtype: specs.a.dtype, shape: [m, n] } };
  },
};

export const matmul = defineKernel<'a' | 'b' | 'c', 'y', MatmulAttributes>({
  name: 'core.matmul',
  inputs: { a: { role: 'whole' }, b: { role: 'whole' }, c: { role: 'whole', optional: true } },
  outputs: { y: { role: 'whole' } },
  infer: definition.infer,
  reference({ a, b, c }, attributes) {
    const { m, k, n } = matmulSizes(a, b, attributes);
    const y = tensor(a.dtype, [m, n]);
    const [av, bv, cv, yv] = [a.data, b.data, c?.data, y.data] as Float32Array[];
    const { transposeA = false, transposeB = false, alpha = 1, beta = 1 } = attributes;
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let p = 0; p < k; p++) sum += av[transposeA ? p * m + i : i * k + p] * bv[transposeB ? j * k + p : p * n + j];
        yv[i * n + j] = alpha * sum + (c ? beta * cv[c.shape.length === 1 ? j : i * n + j] : 0);
      }
    return { y };
  },
});

/** A linear layer on rows of tokens: {@link matmul} of `x [tokens, in]` with `w [out, in]` and an optional bias `[out]`, split by rows of x. */
export const linear = defineKernel<'x' | 'w' | 'bias', 'y', Record<string, never>>({
  name: 'core.linear',
  inputs: { x: { role: 'rows' }, w: { role: 'whole' }, bias: { role: 'whole', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 512,
  infer: (specs) => definition.infer({ a: specs.x, b: specs.w, c: specs.bias }, { transposeB: true }),
  reference: ({ x, w, bias }) => matmul.reference({ a: x, b: w, c: bias }, { transposeB: true }, { start: 0, end: x.shape[0] }),
});

/**
 * Accumulates a Gram matrix: `h' = h + scale · xᵀx` for `x [tokens, n]`, `h [n, n]`, f32. Only the upper triangle (with the diagonal)
 * of the result is defined; readers of symmetric matrices read the upper triangle alone. `range` is the range of rows of h.
 */
export const gram = defineKernel<'h' | 'x', 'h', { readonly scale: number }>({
  name: 'core.gram',
  inputs: { h: { role: 'rows' }, x: { role: 'whole' } },
  outputs: { h: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ h, x }) {
    expectShape('gram', 'x', x, [undefined, undefined]);
    expectDtype('gram', 'x', x, 'f32');
    expectShape('gram', 'h', h, [x.shape[1], x.shape[1]]);
    expectDtype('gram', 'h', h, 'f32');
    return { h };
  },
  reference({ h, x }, { scale }, { start, end }) {
    const [tokens, n] = x.shape;
    const out = tensor('f32', [end - start, n], new Float32Array(h.data as Float32Array));
    const [xv, hv] = [x.data, out.data] as Float32Array[];
    for (let i = start; i < end; i++)
      for (let j = i; j < n; j++) {
        let sum = 0;
        for (let t = 0; t < tokens; t++) sum += xv[t * n + i] * xv[t * n + j];
        hv[(i - start) * n + j] += scale * sum;
      }
    return { h: out };
  },
});
