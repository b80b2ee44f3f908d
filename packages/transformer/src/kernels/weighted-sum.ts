import { defineKernel, expectDtype, expectShape, type Tensor, type TensorSpec, tensor } from '@calibrant/core';
import { wasmModule } from '../generated/wasm.js';

/** Terms that one call adds up. */
export const TERMS = 8;

const TERM_NAMES = ['y0', 'y1', 'y2', 'y3', 'y4', 'y5', 'y6', 'y7'] as const;
export type TermName = (typeof TERM_NAMES)[number];
/** The inputs that hold the terms, in order. */
export const termNames: readonly TermName[] = TERM_NAMES;

const whole = { role: 'whole', optional: true } as const;

/**
 * Adds up rows of several tables: `y[t] = base[t] + Σᵢ weights[t, i] · yᵢ[slots[t, i]]`, where a slot of −1 adds nothing. `base` and `y [rows, n]`,
 * `yᵢ [any, n]`, `weights [rows, 8]` f32, `slots [rows, 8]` i32. In the order of the tables, in f32. Brings the outputs of a mixture's experts back to
 * their tokens.
 */
export const weightedSum = defineKernel<'slots' | 'weights' | 'base' | TermName, 'y', { readonly width: number }>({
  name: 'transformer.weightedSum',
  inputs: {
    slots: { role: 'rows' },
    weights: { role: 'rows' },
    base: { role: 'rows', optional: true },
    y0: whole,
    y1: whole,
    y2: whole,
    y3: whole,
    y4: whole,
    y5: whole,
    y6: whole,
    y7: whole,
  },
  outputs: { y: { role: 'rows' } },
  chunkRows: () => 64,
  infer(specs, { width }) {
    const { slots, weights, base } = specs;
    const count = slots.shape[0];
    expectShape('weightedSum', 'slots', slots, [count, TERMS]);
    expectDtype('weightedSum', 'slots', slots, 'i32');
    expectShape('weightedSum', 'weights', weights, [count, TERMS]);
    expectDtype('weightedSum', 'weights', weights, 'f32');
    if (base) expectShape('weightedSum', 'base', base, [count, width]);
    for (const name of TERM_NAMES) {
      const term: TensorSpec | undefined = specs[name];
      if (!term) continue;
      expectShape('weightedSum', name, term, [undefined, width]);
      expectDtype('weightedSum', name, term, 'f32');
    }
    return { y: { dtype: 'f32', shape: [count, width] } };
  },
  reference(inputs, { width }) {
    const { slots, weights, base } = inputs;
    const count = slots.shape[0];
    const y = tensor('f32', [count, width]);
    const yv = y.data as Float32Array;
    if (base) yv.set(base.data as Float32Array);
    for (let t = 0; t < count; t++)
      for (const [i, name] of TERM_NAMES.entries()) {
        const slot = slots.data[t * TERMS + i] as number;
        if (slot < 0) continue;
        const weight = weights.data[t * TERMS + i] as number;
        const term = (inputs[name] as Tensor).data as Float32Array;
        for (let c = 0; c < width; c++) yv[t * width + c] += Math.fround(weight * term[slot * width + c]);
      }
    return { y };
  },
  wasm: { module: wasmModule, function: 'weightedSum', scalars: (_, { width }) => [width] },
});
