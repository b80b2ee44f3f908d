import { defineKernel, expectDtype, expectShape, tensor } from '@calibrant/core';
import { wasmModule } from './generated/wasm.js';

/** The diagonal of a square matrix, f32. */
export const diagonal = defineKernel<'h', 'diagonal', Record<string, never>>({
  name: 'gptq.diagonal',
  inputs: { h: { role: 'whole' } },
  outputs: { diagonal: { role: 'whole' } },
  infer({ h }) {
    expectShape('diagonal', 'h', h, [h.shape[1], h.shape[0]]);
    expectDtype('diagonal', 'h', h, 'f32');
    return { diagonal: { dtype: 'f32', shape: [h.shape[0]] } };
  },
  reference({ h }) {
    const n = h.shape[0];
    return {
      diagonal: tensor(
        'f32',
        [n],
        Float32Array.from({ length: n }, (_, i) => h.data[i * n + i] as number),
      ),
    };
  },
  wasm: { module: wasmModule, function: 'diagonal', scalars: ({ h }) => [h!.shape[0]] },
});

/**
 * A symmetric matrix (upper triangle read) with rows and columns in another order, upper triangle written, zeros below.
 * `values [n]` becomes the diagonal, `order [n]` i32 says which row comes at each position.
 */
export const arrange = defineKernel<'h' | 'values' | 'order', 'y', Record<string, never>>({
  name: 'gptq.arrange',
  inputs: { h: { role: 'whole' }, values: { role: 'whole' }, order: { role: 'whole' } },
  outputs: { y: { role: 'whole' } },
  infer({ h, values, order }) {
    expectShape('arrange', 'h', h, [h.shape[1], h.shape[0]]);
    expectDtype('arrange', 'h', h, 'f32');
    expectShape('arrange', 'values', values, [h.shape[0]]);
    expectDtype('arrange', 'values', values, 'f32');
    expectShape('arrange', 'order', order, [h.shape[0]]);
    expectDtype('arrange', 'order', order, 'i32');
    return { y: h };
  },
  reference({ h, values, order }) {
    const n = h.shape[0];
    const y = tensor('f32', [n, n]);
    const orderOf = order.data as Int32Array;
    for (let i = 0; i < n; i++) {
      y.data[i * n + i] = values.data[orderOf[i]];
      for (let j = i + 1; j < n; j++) {
        const [a, b] = orderOf[i] < orderOf[j] ? [orderOf[i], orderOf[j]] : [orderOf[j], orderOf[i]];
        y.data[i * n + j] = h.data[a * n + b];
      }
    }
    return { y };
  },
  wasm: { module: wasmModule, function: 'arrange', scalars: ({ h }) => [h!.shape[0]] },
});
