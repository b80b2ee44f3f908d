import { CalibrantError, defineKernel, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';
import { expectLogits } from './expect-logits.js';

const { fround } = Math;
/** Nats below the most likely token where the stored range ends: all that is cut off has less than 1.3e-14 of its probability each. */
const RANGE = 32;

/**
 * Logits as 16-bit codes of their distance from the row's largest: `code = round((max − x) / scale)`, where `scale` divides the row's range, at most 32 nats,
 * into 65535 steps. So a log-probability is off by at most half a step, 2.5e-4 nats for the widest rows.
 *
 * logits f32 `[tokens, vocabulary]`, without NaN → codes u16 `[tokens, vocabulary]`, scales f32 `[tokens]`.
 */
export const encodeLogProbabilities = defineKernel<'logits', 'codes' | 'scales', Record<string, never>>({
  name: 'eval.encodeLogProbabilities',
  inputs: { logits: { role: 'rows' } },
  outputs: { codes: { role: 'rows' }, scales: { role: 'rows' } },
  chunkRows: () => 32,
  infer({ logits }) {
    expectLogits('encodeLogProbabilities', 'logits', logits);
    return { codes: { dtype: 'u16', shape: logits.shape }, scales: { dtype: 'f32', shape: [logits.shape[0]] } };
  },
  reference({ logits }) {
    const [rows, vocabulary] = logits.shape;
    const codes = tensor('u16', [rows, vocabulary]);
    const scales = tensor('f32', [rows]);
    for (let r = 0; r < rows; r++) {
      const row = (logits.data as Float32Array).subarray(r * vocabulary, (r + 1) * vocabulary);
      const [least, top] = row.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
      const scale = fround(Math.min(fround(top - least), RANGE) / 65535);
      const inverse = scale > 0 ? fround(1 / scale) : 0;
      scales.data[r] = scale;
      for (let c = 0; c < vocabulary; c++) {
        const steps = fround(fround(top - row[c]) * inverse);
        codes.data[r * vocabulary + c] = Math.min(65535, nearestEven(steps));
      }
    }
    return { codes, scales };
  },
  wasm: { module: wasmModule, function: 'encodeLogProbabilities', scalars: ({ logits }) => [logits?.shape[1] ?? 0] },
});

/** `−scale · code`: logits whose largest is 0. codes u16 `[tokens, vocabulary]`, scales f32 `[tokens]` → logits f32 `[tokens, vocabulary]`. */
export const decodeLogProbabilities = defineKernel<'codes' | 'scales', 'logits', Record<string, never>>({
  name: 'eval.decodeLogProbabilities',
  inputs: { codes: { role: 'rows' }, scales: { role: 'rows' } },
  outputs: { logits: { role: 'rows' } },
  chunkRows: () => 32,
  infer({ codes, scales }) {
    if (codes.dtype !== 'u16' || codes.shape.length !== 2 || scales.dtype !== 'f32' || scales.shape[0] !== codes.shape[0])
      throw new CalibrantError('SHAPE_MISMATCH', 'decodeLogProbabilities: codes must be u16 [tokens, vocabulary] and scales f32 [tokens].');
    return { logits: { dtype: 'f32', shape: codes.shape } };
  },
  reference({ codes, scales }) {
    const vocabulary = codes.shape[1];
    const logits = tensor('f32', codes.shape);
    for (let i = 0; i < logits.data.length; i++)
      logits.data[i] = fround(-(scales.data[Math.floor(i / vocabulary)] as number) * (codes.data[i] as number));
    return { logits };
  },
  wasm: { module: wasmModule, function: 'decodeLogProbabilities', scalars: ({ codes }) => [codes?.shape[1] ?? 0] },
});

function nearestEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
