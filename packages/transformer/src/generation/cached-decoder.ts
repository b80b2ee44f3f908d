import { type Backend, type BufferHandle, slice } from '@calibrant/core';
import type { AttentionStep } from '../description.js';
import { attentionStep } from '../kernels/attention-step.js';
import { joinColumns } from '../kernels/join-columns.js';
import type { Positions } from '../runtime/position-buffers.js';
import { blockExecution } from '../runtime/rounding.js';
import { runSteps } from '../runtime/run-steps.js';
import type { Attend } from '../runtime/steps-context.js';
import type { Transformer } from '../runtime/transformer.js';

/** The weights of all blocks, in memory at once: what generation needs. */
export type ModelWeights = readonly ReadonlyMap<string, BufferHandle>[];

/** Sequences that advance together, one token each per step, with keys and values cached on one lane. */
export interface CachedDecoder {
  /** Appends one token to each sequence. With `wanted` it returns logits `[sequences, vocabSize]`, which the caller frees; inside a prompt nobody needs them. */
  step(tokens: Int32Array, wanted: boolean): Promise<BufferHandle | undefined>;
  /** Frees the caches. */
  release(): void;
}

interface Cache {
  past?: { k: BufferHandle; v: BufferHandle };
  recent?: { k: BufferHandle; v: BufferHandle };
}

/**
 * Positions in `recent` before they move to `past`. Kernels do not change their inputs, so each step copies `recent`; `past` is copied
 * once in this many steps.
 */
const RECENT = 32;

/** `length` is the number of tokens that the sequences will have in the end; rotary scaling may depend on it. */
export function createCachedDecoder(model: Transformer, weights: ModelWeights, lane: number, length: number): CachedDecoder {
  const { backend, description, execution } = model;
  const caches: Cache[] = description.blocks.map(() => ({}));
  let position = 0;

  return {
    async step(tokens, wanted) {
      const positions = await model.positions.step(position, tokens.length, length);
      let hidden = await model.embed(tokens, { lane, position });
      for (const [index, steps] of description.blocks.entries()) {
        const attend: Attend = (step, query, key, value) => attendCached(backend, caches[index], positions, step, query, key, value);
        const next = await runSteps(steps, hidden, {
          backend,
          weights: weights[index],
          positions,
          attend,
          execution: blockExecution(execution, index),
        });
        backend.free(hidden);
        hidden = next;
      }
      position++;
      const logits = wanted ? await model.head(hidden) : undefined;
      backend.free(hidden);
      return logits;
    },
    release() {
      for (const { past, recent } of caches) backend.free(past?.k, past?.v, recent?.k, recent?.v);
      caches.fill({});
    },
  };
}

function attendCached(
  backend: Backend,
  cache: Cache,
  positions: Positions,
  { attributes, alibi }: AttentionStep,
  q: BufferHandle,
  key: BufferHandle,
  value: BufferHandle,
): BufferHandle {
  const width = attributes.kvHeads * attributes.headDim;
  if (cache.recent && cache.recent.k.shape[1] >= RECENT * width) {
    const { past, recent } = cache;
    cache.past = past ? { k: append(backend, past.k, recent.k), v: append(backend, past.v, recent.v) } : recent;
    if (past) backend.free(past.k, past.v, recent.k, recent.v);
    cache.recent = undefined;
  }
  const { past, recent } = cache;
  cache.recent = recent
    ? { k: append(backend, recent.k, key), v: append(backend, recent.v, value) }
    : { k: copy(backend, key), v: copy(backend, value) };
  backend.free(recent?.k, recent?.v);
  const { k: recentK, v: recentV } = cache.recent;
  return backend.run(attentionStep, { q, pastK: past?.k, pastV: past?.v, recentK, recentV, slopes: alibi && positions.alibi }, attributes)
    .y;
}

function append(backend: Backend, a: BufferHandle, b: BufferHandle): BufferHandle {
  return backend.run(joinColumns, { a, b }, {}).y;
}

/** The block frees the key when it is done with it; the cache needs its own. */
function copy(backend: Backend, x: BufferHandle): BufferHandle {
  const [rowEnd, columnEnd] = x.shape;
  return backend.run(slice, { x }, { rowStart: 0, rowEnd, columnStart: 0, columnEnd }).y;
}
