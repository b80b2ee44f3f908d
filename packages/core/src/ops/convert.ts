import { toDtype } from '../convert.js';
import type { DType } from '../dtype.js';
import { defineKernel } from '../kernel.js';
import { expectDtype } from './check.js';

/** Converts between float types with round to nearest even; NaN and infinities are kept. Rank 2. */
export const convert = defineKernel<'x', 'y', { readonly to: 'f64' | 'f32' | 'f16' | 'bf16' }>({
  name: 'core.convert',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: ({ x }) => Math.max(1, Math.floor(262144 / (x.shape[1] ?? 1))),
  infer({ x }, { to }) {
    expectDtype('convert', 'x', x, 'f64', 'f32', 'f16', 'bf16', 'f8_e4m3', 'f8_e5m2');
    return { y: { dtype: to as DType, shape: x.shape } };
  },
  reference: ({ x }, { to }) => ({ y: toDtype(x, to) }),
});
