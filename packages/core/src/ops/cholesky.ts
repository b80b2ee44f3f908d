import { defineKernel } from '../kernel.js';
import { tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

/**
 * The upper triangular `u` with `(h + damp·I)⁻¹ = uᵀ·u` of a symmetric positive definite `h [n, n]` (upper triangle read), f32 in and out, f64 inside.
 *
 * GPTQ's "Cholesky of the inverse" without inverting: factor `h = r·rᵀ` with r upper triangular (Cholesky from the last row up), then `u = r⁻¹`.
 *
 * `info [1]` i32 is 0, or 1 + the row at which a pivot was not positive or not finite; u is then not to be used.
 */
export const inverseCholesky = defineKernel<'h', 'u' | 'info', { readonly damp: number }>({
  name: 'core.inverseCholesky',
  inputs: { h: { role: 'whole' } },
  outputs: { u: { role: 'whole' }, info: { role: 'whole' } },
  infer({ h }) {
    expectShape('inverseCholesky', 'h', h, [h.shape[1], h.shape[0]]);
    expectDtype('inverseCholesky', 'h', h, 'f32');
    return { u: h, info: { dtype: 'i32', shape: [1] } };
  },
  reference({ h }, { damp }) {
    const n = h.shape[0];
    const hv = h.data as Float32Array;
    const r = new Float64Array(n * n);
    const u = tensor('f32', [n, n]);
    const info = tensor('i32', [1]);
    for (let j = n - 1; j >= 0; j--) {
      let pivot = hv[j * n + j] + damp;
      for (let k = j + 1; k < n; k++) pivot -= r[j * n + k] ** 2;
      if (!(pivot > 0 && Number.isFinite(pivot))) {
        info.data[0] = j + 1;
        return { u, info };
      }
      r[j * n + j] = Math.sqrt(pivot);
      for (let i = 0; i < j; i++) {
        let sum = hv[i * n + j];
        for (let k = j + 1; k < n; k++) sum -= r[i * n + k] * r[j * n + k];
        r[i * n + j] = sum / r[j * n + j];
      }
    }
    // Columns of r⁻¹ by back substitution.
    const column = new Float64Array(n);
    for (let j = 0; j < n; j++) {
      for (let i = j; i >= 0; i--) {
        let sum = i === j ? 1 : 0;
        for (let k = i + 1; k <= j; k++) sum -= r[i * n + k] * column[k];
        column[i] = sum / r[i * n + i];
        u.data[i * n + j] = column[i];
      }
    }
    return { u, info };
  },
});
