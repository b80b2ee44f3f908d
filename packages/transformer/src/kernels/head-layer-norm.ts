import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

export interface HeadLayerNormAttributes {
  readonly eps: number;
  /** Values that are normalized together. */
  readonly width: number;
}

/**
 * Layer norm of each head by itself with weights of its own: `y = (x − mean) / sqrt(var + eps) · weight` for each run of `width` values of
 * `x [rows, n]`, with `weight [n]` for the whole row. Sums in f64.
 */
export const headLayerNorm = defineKernel<'x' | 'weight', 'y', HeadLayerNormAttributes>({
  name: 'transformer.headLayerNorm',
  inputs: { x: { role: 'rows' }, weight: { role: 'whole' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x, weight }, { width }) {
    expectShape('headLayerNorm', 'x', x, [undefined, undefined]);
    expectDtype('headLayerNorm', 'x', x, 'f32');
    expectShape('headLayerNorm', 'weight', weight, [Math.ceil(x.shape[1] / width) * width]);
    expectShape('headLayerNorm', 'x', x, [undefined, weight.shape[0]]);
    return { y: x };
  },
  reference({ x, weight }, { eps, width }) {
    const y = tensor('f32', x.shape);
    const [xv, wv, yv] = [x.data, weight.data, y.data] as Float32Array[];
    for (let at = 0; at < xv.length; at += width) {
      const run = xv.subarray(at, at + width);
      const mean = run.reduce((sum, value) => sum + value, 0) / width;
      const variance = run.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
      const factor = 1 / Math.sqrt(variance + eps);
      for (let i = 0; i < width; i++) yv[at + i] = (run[i] - mean) * factor * wv[(at + i) % wv.length];
    }
    return { y };
  },
  wasm: { module: wasmModule, function: 'headLayerNorm', scalars: ({ x }, { eps, width }) => [x?.shape[1] ?? 0, width, eps] },
});
