import {
  activation,
  add,
  attention,
  type Backend,
  type BufferHandle,
  CalibrantError,
  layerNorm,
  linear,
  rmsNorm,
  rope,
} from '@calibrant/core';
import { inputsOf, type Step } from '../description.js';
import type { Positions } from './position-buffers.js';

type AttentionStep = Extract<Step, { op: 'attention' }>;

/** Computes attention from a step's query, key and value; the cached decoder brings its own. */
export type Attend = (step: AttentionStep, query: BufferHandle, key: BufferHandle, value: BufferHandle) => BufferHandle;

export interface StepsContext {
  readonly backend: Backend;
  readonly weights: ReadonlyMap<string, BufferHandle>;
  readonly positions: Positions;
  readonly attend?: Attend;
  /** Called with each linear layer's input once per run, before the layer; the handle is valid during the call. */
  readonly observe?: (point: string, handle: BufferHandle) => void;
}

/** Names of the values that linear layers read, in the order in which they are computed. */
export function observationPoints(steps: readonly Step[]): string[] {
  return [...new Set(steps.flatMap((step) => (step.op === 'linear' ? [step.input] : [])))];
}

/**
 * Enqueues a list of steps on the value `hidden` and returns the value named `result` (the last step's output if absent). Every other value is
 * freed as soon as the last step that reads it is queued; `hidden` stays the caller's.
 */
export function runSteps(steps: readonly Step[], hidden: BufferHandle, context: StepsContext, result = steps.at(-1)!.output): BufferHandle {
  const { backend, observe } = context;
  const values = new Map([['hidden', hidden]]);
  const lastUse = new Map(steps.flatMap((step, at) => inputsOf(step).map((name) => [name, at] as const)));
  const points = new Set(observe ? observationPoints(steps) : []);
  try {
    for (const [at, step] of steps.entries()) {
      const output = runStep(step, values, context);
      values.set(step.output, output);
      if (points.has(step.output)) observe?.(step.output, output);
      if (step.output === result) break;
      for (const name of inputsOf(step)) if (lastUse.get(name) === at) release(name);
    }
    const value = values.get(result)!;
    values.delete(result);
    return value;
  } finally {
    for (const name of [...values.keys()]) release(name);
  }

  function release(name: string): void {
    if (name !== 'hidden') backend.free(values.get(name));
    values.delete(name);
  }
}

function runStep(step: Step, values: ReadonlyMap<string, BufferHandle>, context: StepsContext): BufferHandle {
  const { backend, positions } = context;
  const value = (name: string) => values.get(name)!;
  const weight = ({ name }: { name: string }): BufferHandle => {
    const found = context.weights.get(name);
    if (!found) throw new CalibrantError('INVALID_ARGUMENT', `The weights given to the block lack ${name}.`, { tensor: name });
    return found;
  };
  const bias = 'bias' in step && step.bias ? weight(step.bias) : undefined;
  switch (step.op) {
    case 'norm': {
      const inputs = { x: value(step.input), weight: weight(step.weight) };
      return step.kind === 'layer'
        ? backend.run(layerNorm, { ...inputs, bias }, { eps: step.eps }).y
        : backend.run(rmsNorm, inputs, { eps: step.eps, ...(step.offset === undefined ? {} : { offset: step.offset }) }).y;
    }
    case 'linear':
      return backend.run(linear, { x: value(step.input), w: weight(step.weight), bias }, {}).y;
    case 'rope': {
      const { cos, sin } = positions.tables[step.table];
      return backend.run(rope, { x: value(step.input), positions: positions.ids, cos, sin }, { headDim: step.headDim, style: step.style })
        .y;
    }
    case 'attention': {
      const [q, k, v] = [value(step.query), value(step.key), value(step.value)];
      return context.attend ? context.attend(step, q, k, v) : backend.run(attention, { q, k, v }, step.attributes).y;
    }
    case 'activation':
      return backend.run(activation, { x: value(step.input), up: step.up === undefined ? undefined : value(step.up) }, { kind: step.kind })
        .y;
    case 'add':
      return backend.run(add, { a: value(step.a), b: value(step.b) }, step.scale === undefined ? {} : { scale: step.scale }).y;
  }
}
