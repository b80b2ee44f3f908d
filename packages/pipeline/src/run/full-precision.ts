import { add, type Backend, type BufferHandle, linear, transpose } from '@calibrant/core';
import type { Step, TransformerBlock } from '@calibrant/transformer';
import type { HiddenStates } from './hidden-states.js';

/** The block that is being quantized as the full-precision model has it: its weights, and the states that reach it there. */
export interface FullPrecision {
  readonly weights: ReadonlyMap<string, BufferHandle>;
  readonly hidden: HiddenStates;
  /** Experts see all tokens, those of both models alike. */
  readonly allTokens: boolean;
}

/** The values at some points of the block in one sequence, visible to all lanes; the caller frees them. */
export async function fullValues(
  backend: Backend,
  block: TransformerBlock,
  { weights, hidden, allTokens }: FullPrecision,
  index: number,
  points: ReadonlySet<string>,
): Promise<Map<string, BufferHandle>> {
  const values = new Map<string, BufferHandle>();
  const keep = (point: string, value: BufferHandle) => {
    if (points.has(point)) values.set(point, backend.share(value));
  };
  const state = await backend.upload(hidden.states[index], { lane: index % backend.lanes });
  try {
    if (points.size === 1) {
      const [point] = points;
      const value = await block.forwardTo(point, state, weights, { allTokens });
      keep(point, value);
      backend.free(value);
    } else backend.free(await block.forward(state, weights, { observe: keep, allTokens }));
    return values;
  } catch (error) {
    backend.free(...values.values());
    throw error;
  } finally {
    backend.free(state);
  }
}

/**
 * `c + scale · (x − x̃)ᵀ x̃` (Li et al., arXiv 2504.02692) in f32, for the values x of the full-precision model and x̃ of the quantized one, `[tokens, in]`, visible to all lanes.
 * Takes the place of `c [in, in]`, which it frees.
 */
export function addDeviation(backend: Backend, c: BufferHandle, full: BufferHandle, quantized: BufferHandle, scale: number): BufferHandle {
  const difference = backend.run(add, { a: full, b: quantized }, { scale: -1 }).y;
  const [x, w] = [difference, quantized].map((value) => backend.run(transpose, { x: value }, {}).y);
  const product = backend.run(linear, { x, w }, {}).y;
  const sum = backend.run(add, { a: c, b: product }, { scale }).y;
  backend.free(difference, x, w, product, c);
  return sum;
}

/** For each value that an expert is given, those that the experts of its mixture are given. */
export function expertInputs(steps: readonly Step[]): Map<string, readonly string[]> {
  const mixtures = steps.flatMap((step) => (step.op === 'mixture' ? [step.experts.map(({ input }) => input)] : []));
  return new Map(mixtures.flatMap((inputs) => inputs.map((input) => [input, inputs] as const)));
}

/** Values inside the experts of mixtures: their rows are the tokens that the model at hand routes there. */
export function expertValues(steps: readonly Step[]): Set<string> {
  return new Set(
    steps.flatMap((step) =>
      step.op === 'mixture' ? step.experts.flatMap(({ input, steps: inner }) => [input, ...inner.map(({ output }) => output)]) : [],
    ),
  );
}
