import { defineKernel } from '../kernel.js';
import { type Tensor, type TensorSpec, tensor } from '../tensor.js';
import { expectDtype, expectShape } from './check.js';

function inferNorm(operation: string, { x, weight, bias }: { x: TensorSpec; weight: TensorSpec; bias?: TensorSpec }) {
  expectShape(operation, 'x', x, [undefined, undefined]);
  expectDtype(operation, 'x', x, 'f32');
  const width = weight?.shape[0];
  expectShape(operation, 'weight', weight, [width]);
  if (!(width > 0) || x.shape[1] % width !== 0) expectShape(operation, 'weight', weight, [x.shape[1]]);
  expectDtype(operation, 'weight', weight, 'f32');
  if (bias) {
    expectShape(operation, 'bias', bias, [width]);
    expectDtype(operation, 'bias', bias, 'f32');
  }
  return { y: x };
}

function normalize(x: Tensor, width: number, row: (input: Float32Array, output: Float32Array) => void): { y: Tensor } {
  const y = tensor('f32', x.shape);
  const [xv, yv] = [x.data, y.data] as Float32Array[];
  for (let at = 0; at < xv.length; at += width) row(xv.subarray(at, at + width), yv.subarray(at, at + width));
  return { y };
}

/**
 * RMS norm: `y = x / sqrt(mean(x²) + eps) · (weight + offset)`. When `weight [w]` is shorter than a row, each run of w values is
 * normalized by itself (q/k norms per head). Sums in f64 in the reference; a fast variant may sum in f32.
 */
export const rmsNorm = defineKernel<'x' | 'weight', 'y', { readonly eps: number; readonly offset?: number }>({
  name: 'core.rmsNorm',
  inputs: { x: { role: 'rows' }, weight: { role: 'whole' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer: (specs) => inferNorm('rmsNorm', specs),
  reference({ x, weight }, { eps, offset = 0 }) {
    const wv = weight.data as Float32Array;
    return normalize(x, wv.length, (input, output) => {
      let sum = 0;
      for (const value of input) sum += value * value;
      const factor = 1 / Math.sqrt(sum / input.length + eps);
      for (let i = 0; i < input.length; i++) output[i] = input[i] * factor * (wv[i] + offset);
    });
  },
});

/** Layer norm: `y = (x − mean) / sqrt(var + eps) · weight + bias`, per run of `weight.length` values. */
export const layerNorm = defineKernel<'x' | 'weight' | 'bias', 'y', { readonly eps: number }>({
  name: 'core.layerNorm',
  inputs: { x: { role: 'rows' }, weight: { role: 'whole' }, bias: { role: 'whole', optional: true } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer: (specs) => inferNorm('layerNorm', specs),
  reference({ x, weight, bias }, { eps }) {
    const [wv, bv] = [weight.data, bias?.data] as Float32Array[];
    return normalize(x, wv.length, (input, output) => {
      let sum = 0;
      for (const value of input) sum += value;
      const mean = sum / input.length;
      let squares = 0;
      for (const value of input) squares += (value - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / input.length + eps);
      for (let i = 0; i < input.length; i++) output[i] = (input[i] - mean) * factor * wv[i] + (bias ? bv[i] : 0);
    });
  },
});

/** Softmax of each row, with the maximum subtracted first. */
export const softmax = defineKernel<'x', 'y', Record<string, never>>({
  name: 'core.softmax',
  inputs: { x: { role: 'rows' } },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 256,
  infer({ x }) {
    expectShape('softmax', 'x', x, [undefined, undefined]);
    expectDtype('softmax', 'x', x, 'f32');
    return { y: x };
  },
  reference: ({ x }) =>
    normalize(x, x.shape[1], (input, output) => {
      let max = -Infinity;
      for (const value of input) max = Math.max(max, value);
      let sum = 0;
      for (const value of input) sum += Math.exp(value - max);
      for (let i = 0; i < input.length; i++) output[i] = Math.exp(input[i] - max) / sum;
    }),
});
