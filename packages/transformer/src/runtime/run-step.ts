import {
  activation,
  add,
  attention,
  type BufferHandle,
  CalibrantError,
  gather,
  layerNorm,
  linear,
  rmsNorm,
  rope,
  roundActivations,
  scale,
} from '@calibrant/core';
import type { AttentionStep, NormStep, Step } from '../description.js';
import { headLayerNorm } from '../kernels/head-layer-norm.js';
import { sigmoidGate } from '../kernels/sigmoid-gate.js';
import { takeColumns } from '../kernels/take-columns.js';
import type { RoundedInputs } from './rounding.js';
import { type StepsContext, weightOf } from './steps-context.js';

/** Enqueues one step on the values so far and returns its output. */
export function runStep(
  step: Exclude<Step, { op: 'mixture' }>,
  values: ReadonlyMap<string, BufferHandle>,
  context: StepsContext,
  rounded: RoundedInputs,
): BufferHandle {
  const { backend, positions } = context;
  const value = (name: string) => values.get(name)!;
  switch (step.op) {
    case 'norm':
      return runNorm(step, value(step.input), context);
    case 'linear': {
      const bias = step.bias && weightOf(context, step.bias);
      return backend.run(linear, { x: rounded.of(step, value(step.input)), w: weightOf(context, step.weight), bias }, {}).y;
    }
    case 'columns': {
      const { groups, start, width } = step;
      return backend.run(takeColumns, { x: value(step.input) }, { groups, start, width }).y;
    }
    case 'rope': {
      const { cos, sin } = positions.tables[step.table];
      return backend.run(rope, { x: value(step.input), positions: positions.ids, cos, sin }, { headDim: step.headDim, style: step.style })
        .y;
    }
    case 'attention':
      return runAttention(step, value(step.query), value(step.key), value(step.value), context);
    case 'activation':
      return backend.run(activation, { x: value(step.input), up: step.up === undefined ? undefined : value(step.up) }, { kind: step.kind })
        .y;
    case 'add':
      return backend.run(add, { a: value(step.a), b: value(step.b) }, step.scale === undefined ? {} : { scale: step.scale }).y;
    case 'scale':
      return backend.run(scale, { x: value(step.input) }, { scale: step.scale }).y;
    case 'gate':
      return backend.run(sigmoidGate, { x: value(step.input), gate: value(step.gate) }, {}).y;
    case 'positions':
      return addPositions(step, value(step.input), context);
  }
}

/** Keys and values are rounded as a cache would hold them, whether there is one or not. */
function runAttention(step: AttentionStep, q: BufferHandle, key: BufferHandle, value: BufferHandle, context: StepsContext): BufferHandle {
  const { backend, positions, attend, execution, observeCache } = context;
  observeCache?.('key', key);
  observeCache?.('value', value);
  const cache = execution?.keyValueCache;
  const k = cache ? roundActivations(backend, key, cache.key) : key;
  const v = cache ? roundActivations(backend, value, cache.value) : value;
  const output = attend
    ? attend(step, q, k, v)
    : backend.run(attention, { q, k, v, slopes: step.alibi && positions.alibi }, step.attributes).y;
  if (cache) backend.free(k, v);
  return output;
}

function runNorm(step: NormStep, x: BufferHandle, context: StepsContext): BufferHandle {
  const { backend } = context;
  const { eps, offset, width } = step;
  const weight = weightOf(context, step.weight);
  if (width !== undefined && width !== weight.shape[0]) return backend.run(headLayerNorm, { x, weight }, { eps, width }).y;
  if (step.kind === 'rms') return backend.run(rmsNorm, { x, weight }, { eps, ...(offset === undefined ? {} : { offset }) }).y;
  return backend.run(layerNorm, { x, weight, bias: step.bias && weightOf(context, step.bias) }, { eps }).y;
}

/** @throws CalibrantError `INVALID_ARGUMENT` for sequences longer than the table of positions. */
function addPositions(step: Extract<Step, { op: 'positions' }>, x: BufferHandle, context: StepsContext): BufferHandle {
  const { backend, positions } = context;
  const table = weightOf(context, step.weight);
  if (positions.count > table.shape[0])
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `The model knows ${table.shape[0]} positions (${step.weight.name}), found a sequence of ${positions.count} tokens. Use shorter sequences.`,
      { tensor: step.weight.name },
    );
  const { y: learned } = backend.run(gather, { table, ids: positions.ids }, {});
  const { y } = backend.run(add, { a: x, b: learned }, {});
  backend.free(learned);
  return y;
}
