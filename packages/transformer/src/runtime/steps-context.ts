import { type Backend, type BufferHandle, CalibrantError } from '@calibrant/core';
import type { AttentionStep, WeightRef } from '../description.js';
import type { Positions } from './position-buffers.js';
import type { BlockExecution } from './rounding.js';

/** Computes attention from a step's query, key and value; the cached decoder brings its own. */
export type Attend = (step: AttentionStep, query: BufferHandle, key: BufferHandle, value: BufferHandle) => BufferHandle;

/** Sees f32 `[tokens, kvHeads · headDim]`; the handle is valid during the call. */
export type CacheObserver = (part: 'key' | 'value', handle: BufferHandle) => void;

export interface StepsContext {
  readonly backend: Backend;
  readonly weights: ReadonlyMap<string, BufferHandle>;
  readonly positions: Positions;
  readonly attend?: Attend;
  /** Rounds what flows through the block; nothing if absent. */
  readonly execution?: BlockExecution | undefined;
  /** Called with each linear layer's input once per run, before the layer; the handle is valid during the call. */
  readonly observe?: (point: string, handle: BufferHandle) => void;
  /** Called with the keys (after the rotary embedding) and values of attention, before they are rounded. */
  readonly observeCache?: CacheObserver | undefined;
  /** Observers (and `result` of a run, where it is such an input) see what the first layer that reads a value computes with: the rounded value. */
  readonly observeRounded?: boolean | undefined;
  /** Experts compute all tokens, not only those that are routed to them. */
  readonly allTokens?: boolean | undefined;
}

/** The buffer of a weight among those that were given. */
export function weightOf({ weights }: StepsContext, { name }: WeightRef): BufferHandle {
  const found = weights.get(name);
  if (!found) throw new CalibrantError('INVALID_ARGUMENT', `The weights given to the block lack ${name}.`, { tensor: name });
  return found;
}
