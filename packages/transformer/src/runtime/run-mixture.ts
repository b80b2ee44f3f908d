import { type BufferHandle, gather, tensor } from '@calibrant/core';
import type { MixtureStep, Step } from '../description.js';
import { TERMS, termNames, weightedSum } from '../kernels/weighted-sum.js';
import { type Route, routeTokens } from './route-tokens.js';
import type { RunStepsOptions } from './run-steps.js';
import type { StepsContext } from './steps-context.js';

type RunExpert = (steps: readonly Step[], input: BufferHandle, context: StepsContext, options: RunStepsOptions) => Promise<BufferHandle>;

/** Whether a value is computed inside one of a mixture's experts. */
export function containsValue({ experts }: MixtureStep, name: string): boolean {
  return experts.some(({ input, steps }) => input === name || steps.some(({ output }) => output === name));
}

/**
 * Computes a mixture of experts. The router's logits come to the host, which decides what each expert computes (its sizes depend on it); all arithmetic on
 * hidden states stays on the backend. Experts without tokens are left out. The outputs are added up in the order of the experts, so that nothing depends
 * on lanes. When `result` names a value inside an expert, that value is returned, with 0 rows if the expert has no tokens.
 */
export async function runMixture(
  step: MixtureStep,
  values: ReadonlyMap<string, BufferHandle>,
  context: StepsContext,
  runExpert: RunExpert,
  result: string,
): Promise<BufferHandle> {
  const { backend } = context;
  const input = values.get(step.input)!;
  const router = await backend.download(values.get(step.router)!);
  const routed = routeTokens(router.data as Float32Array, step.experts.length, step.topK, step.normalized);
  const routes = context.allTokens ? routed.map((route) => withAllTokens(route, input.shape[0])) : routed;
  const inside = containsValue(step, result);
  const done: { expert: number; output: BufferHandle }[] = [];
  let sum: BufferHandle | undefined;
  try {
    for (const [expert, { input: start, steps }] of step.experts.entries()) {
      const wanted = inside && (start === result || steps.some(({ output }) => output === result));
      if (inside ? !wanted : routes[expert].tokens.length === 0) continue;
      const x = await pickRows(input, routes[expert].tokens, context);
      if (start === result && !context.observeRounded) return x;
      try {
        const output = await runExpert(steps, x, context, { start, ...(wanted ? { result } : {}) });
        if (wanted) return output;
        done.push({ expert, output });
      } finally {
        backend.free(x);
      }
      if (done.length === TERMS) await addUp();
    }
    if (done.length > 0 || !sum) await addUp();
    const total = sum!;
    sum = undefined;
    return total;
  } finally {
    backend.free(sum, ...done.map(({ output }) => output));
  }

  /** Adds what is done to the sum, and frees it. */
  async function addUp(): Promise<void> {
    const [tokens, width] = input.shape;
    const plan = planSum(
      tokens,
      done.map(({ expert }) => routes[expert]),
    );
    const [slots, weights] = await Promise.all([upload(plan.slots, 'i32'), upload(plan.weights, 'f32')]);
    const tables = Object.fromEntries(done.map(({ output }, i) => [termNames[i], output]));
    const { y } = backend.run(weightedSum, { slots, weights, base: sum, ...tables }, { width });
    backend.free(slots, weights, sum, ...done.map(({ output }) => output));
    done.length = 0;
    sum = y;
  }

  function upload(data: Int32Array | Float32Array, dtype: 'i32' | 'f32'): Promise<BufferHandle> {
    return backend.upload(tensor(dtype, [data.length / TERMS, TERMS], data), input.lane === undefined ? {} : { lane: input.lane });
  }
}

/** The same outputs from an expert that computes every token: those that were not routed to it count nothing. */
function withAllTokens({ tokens, weights }: Route, count: number): Route {
  const all = new Float32Array(count);
  for (const [row, token] of tokens.entries()) all[token] = weights[row];
  return { tokens: Int32Array.from(all.keys()), weights: all };
}

async function pickRows(table: BufferHandle, rows: Int32Array, { backend }: StepsContext): Promise<BufferHandle> {
  const ids = await backend.upload(tensor('i32', [rows.length], rows), table.lane === undefined ? {} : { lane: table.lane });
  const { y } = backend.run(gather, { table, ids }, {});
  backend.free(ids);
  return y;
}

/** For each token, the row of its output in each expert's table, and the factor. */
function planSum(tokens: number, routes: readonly Route[]): { slots: Int32Array; weights: Float32Array } {
  const slots = new Int32Array(tokens * TERMS).fill(-1);
  const weights = new Float32Array(tokens * TERMS);
  for (const [i, route] of routes.entries())
    for (const [row, token] of route.tokens.entries()) {
      slots[token * TERMS + i] = row;
      weights[token * TERMS + i] = route.weights[row];
    }
  return { slots, weights };
}
