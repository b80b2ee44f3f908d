import { type BufferHandle, CalibrantError, scale } from '@calibrant/core';
import { inputsOf, type Step } from '../description.js';
import { createRoundedInputs } from './rounding.js';
import { containsValue, runMixture } from './run-mixture.js';
import { runStep } from './run-step.js';
import type { StepsContext } from './steps-context.js';

/** Where a run begins and ends. */
export interface RunStepsOptions {
  /** Name of the input; `hidden` if absent. */
  readonly start?: string;
  /** Name of the value that is returned; the last step's output if absent. */
  readonly result?: string;
}

/**
 * Enqueues a list of steps on a value and returns the value named `result` (a copy when that is the input, or when there are no steps). Every other value is
 * freed as soon as the last step that reads it is queued; the input stays the caller's. Waits for the backend only where a mixture of experts
 * must know the router's choice.
 */
export async function runSteps(
  steps: readonly Step[],
  input: BufferHandle,
  context: StepsContext,
  { start = 'hidden', result = steps.at(-1)?.output ?? start }: RunStepsOptions = {},
): Promise<BufferHandle> {
  const { backend, observe, observeRounded } = context;
  const rounded = createRoundedInputs(backend, context.execution);
  const seen = (name: string, value: BufferHandle): BufferHandle => {
    const reader = observeRounded ? steps.find((step) => step.op === 'linear' && step.input === name) : undefined;
    return reader?.op === 'linear' ? rounded.of(reader, value) : value;
  };
  if (result === start) return copyOf(start, input);
  const values = new Map([[start, input]]);
  const lastUse = new Map(steps.flatMap((step, at) => inputsOf(step).map((name) => [name, at] as const)));
  const points = new Set(observe ? steps.flatMap((step) => (step.op === 'linear' ? [step.input] : [])) : []);
  const release = (name: string): void => {
    rounded.release(name);
    if (name !== start) backend.free(values.get(name));
    values.delete(name);
  };
  try {
    if (points.has(start)) observe?.(start, seen(start, input));
    for (const [at, step] of steps.entries()) {
      const output =
        step.op === 'mixture' ? await runMixture(step, values, context, runSteps, result) : runStep(step, values, context, rounded);
      if (step.op === 'mixture' && containsValue(step, result)) return output;
      values.set(step.output, output);
      if (points.has(step.output)) observe?.(step.output, seen(step.output, output));
      if (step.output === result) break;
      for (const name of inputsOf(step)) if (lastUse.get(name) === at) release(name);
    }
    const value = values.get(result);
    if (!value) throw new CalibrantError('INVALID_ARGUMENT', `The block has no value "${result}".`);
    if (seen(result, value) !== value) return copyOf(result, value);
    values.delete(result);
    rounded.release(result);
    return value;
  } finally {
    for (const name of [...values.keys()]) release(name);
  }

  function copyOf(name: string, value: BufferHandle): BufferHandle {
    const { y } = backend.run(scale, { x: seen(name, value) }, { scale: 1 });
    rounded.release(name);
    return y;
  }
}
