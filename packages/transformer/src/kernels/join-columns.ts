import { CalibrantError, defineKernel, describeSpec, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** `y = [a | b]`: the columns of b after those of a, `a [rows, m]`, `b [rows, n]`, `y [rows, m + n]`, f32. */
export const joinColumns = defineKernel<'a' | 'b', 'y', Record<string, never>>({
  name: 'transformer.joinColumns',
  inputs: { a: { role: 'rows' }, b: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer({ a, b }) {
    expectShape('joinColumns', 'a', a, [undefined, undefined]);
    expectShape('joinColumns', 'b', b, [a.shape[0], undefined]);
    if (a.dtype !== 'f32' || b.dtype !== 'f32')
      throw new CalibrantError('SHAPE_MISMATCH', `joinColumns: a and b must be f32, found ${describeSpec(a)} and ${describeSpec(b)}.`);
    return { y: { dtype: 'f32', shape: [a.shape[0], a.shape[1] + b.shape[1]] } };
  },
  reference({ a, b }) {
    const [count, m] = a.shape;
    const n = b.shape[1];
    const y = tensor('f32', [count, m + n]);
    const [av, bv, yv] = [a.data, b.data, y.data] as Float32Array[];
    for (let r = 0; r < count; r++) {
      yv.set(av.subarray(r * m, (r + 1) * m), r * (m + n));
      yv.set(bv.subarray(r * n, (r + 1) * n), r * (m + n) + m);
    }
    return { y };
  },
  wasm: {
    module: wasmModule,
    function: 'joinColumns',
    scalars: ({ a, b }) => [a?.shape[1] ?? 0, b?.shape[1] ?? 0],
  },
});
