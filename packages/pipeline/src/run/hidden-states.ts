import { type Backend, type BufferHandle, type Tensor, throwIfAborted } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';

/** Sequences on their way through the backend while the next one is uploaded, per lane. */
const IN_FLIGHT_PER_LANE = 2;

/**
 * The hidden states of all calibration sequences between two blocks. They wait in host memory, since lanes hold only what they work on,
 * and pass through the lanes in a fixed order: what is accumulated over them does not depend on timing.
 */
export interface HiddenStates {
  readonly count: number;
  /** As they are now. */
  readonly states: readonly Tensor[];
  /** Runs `body` on each sequence's state on a lane; what it returns (if anything) becomes the sequence's new state. */
  pass(body: (hidden: BufferHandle, index: number) => Promise<BufferHandle | undefined>, signal?: AbortSignal): Promise<void>;
  /** Tokens whose first channel is NaN or infinite: one such value in a layer's input reaches every channel of its output. */
  tokensNotFinite(): number;
  /** Puts other states in the place of all. */
  replace(states: readonly Tensor[]): void;
}

export function createHiddenStates(backend: Backend, states: Tensor[]): HiddenStates {
  return {
    count: states.length,
    tokensNotFinite() {
      let count = 0;
      for (const { data, shape } of states) for (let row = 0; row < shape[0]; row++) if (!Number.isFinite(data[row * shape[1]])) count++;
      return count;
    },
    states,
    replace(others) {
      states.splice(0, states.length, ...others);
    },
    async pass(body, signal) {
      const pending: Promise<void>[] = [];
      try {
        for (let index = 0; index < states.length; index++) {
          throwIfAborted(signal);
          const hidden = await backend.upload(states[index], { lane: index % backend.lanes });
          const result = await body(hidden, index);
          backend.free(hidden);
          if (result) {
            const stored = backend.download(result).then((value) => {
              states[index] = value;
              backend.free(result);
            });
            stored.catch(() => {}); // reported below, in order
            pending.push(stored);
          }
          if (pending.length >= IN_FLIGHT_PER_LANE * backend.lanes) await pending.shift();
        }
        await Promise.all(pending);
        await backend.sync();
      } finally {
        await Promise.allSettled(pending);
      }
    },
  };
}

/** The hidden states before the first block, in host memory. */
export async function embedSequences(transformer: Transformer, sequences: readonly Int32Array[], signal?: AbortSignal): Promise<Tensor[]> {
  const { backend } = transformer;
  const states: Tensor[] = [];
  for (const ids of sequences) {
    throwIfAborted(signal);
    const embedded = await transformer.embed(ids);
    states.push(await backend.download(embedded));
    backend.free(embedded);
  }
  return states;
}
