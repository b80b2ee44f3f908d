import { type Backend, type BufferHandle, type Checkpoint, convert, linear } from '@calibrant/core';
import { type ArchitectureDescription, weightsOf } from '../description.js';
import { joinColumns } from '../kernels/join-columns.js';
import { loadWeight, readFloat } from './load-weight.js';
import type { PositionBuffers } from './position-buffers.js';
import { runSteps } from './run-steps.js';

/** The last hidden state to logits. */
export interface Head {
  /** `hidden [tokens, hiddenSize]` to logits `[tokens, vocabSize]`; `hidden` stays the caller's. */
  logits(hidden: BufferHandle): Promise<BufferHandle>;
  /** The final norm alone. */
  normed(hidden: BufferHandle): Promise<BufferHandle>;
  release(): Promise<void>;
}

interface HeadWeights {
  readonly norms: Map<string, BufferHandle>;
  readonly chunks: readonly BufferHandle[];
}

/**
 * Projects to the vocabulary. A projection of at most `chunkBytes` in f32 is held in f32; a larger one is held in chunks of rows as they are stored
 * (bf16 takes half the memory), each converted while it is used.
 */
export function createHead(
  backend: Backend,
  checkpoint: Checkpoint,
  { head, vocabSize, hiddenSize }: ArchitectureDescription,
  positions: PositionBuffers,
  chunkBytes: number,
): Head {
  let weights: Promise<HeadWeights> | undefined;

  async function load(): Promise<HeadWeights> {
    const loaded: BufferHandle[] = [];
    try {
      const norms = new Map<string, BufferHandle>();
      for (const { name } of weightsOf(head.steps)) {
        const handle = await loadWeight(backend, checkpoint, name);
        loaded.push(handle);
        norms.set(name, handle);
      }
      const chunkRows = Math.max(1, Math.floor(chunkBytes / (hiddenSize * 4)));
      const chunks: BufferHandle[] = [];
      for (let start = 0; start < vocabSize; start += chunkRows) {
        const end = Math.min(vocabSize, start + chunkRows);
        const chunk =
          chunkRows >= vocabSize
            ? await loadWeight(backend, checkpoint, head.weight.name)
            : await backend.upload(await readFloat(checkpoint, head.weight.name, { start, end }));
        loaded.push(chunk);
        chunks.push(chunk);
      }
      return { norms, chunks };
    } catch (error) {
      backend.free(...loaded);
      throw error;
    }
  }

  function project(normed: BufferHandle, chunk: BufferHandle): BufferHandle {
    if (chunk.dtype === 'f32') return backend.run(linear, { x: normed, w: chunk }, {}).y;
    const { y: w } = backend.run(convert, { x: chunk }, { to: 'f32' });
    const { y } = backend.run(linear, { x: normed, w }, {});
    backend.free(w);
    return y;
  }

  const normalize = async (hidden: BufferHandle, { norms }: HeadWeights): Promise<BufferHandle> =>
    runSteps(head.steps, hidden, { backend, weights: norms, positions: await positions.sequence(hidden.shape[0]) });
  const held = (): Promise<HeadWeights> => {
    weights ??= load();
    return weights;
  };
  return {
    async logits(hidden) {
      const current = await held();
      const normed = await normalize(hidden, current);
      const parts = current.chunks.map((chunk) => project(normed, chunk));
      backend.free(normed);
      return joinAll(backend, parts);
    },
    async normed(hidden) {
      return normalize(hidden, await held());
    },
    async release() {
      const current = await weights?.catch(() => undefined);
      weights = undefined;
      if (current) backend.free(...current.norms.values(), ...current.chunks);
    },
  };
}

/** Joins neighbours until one is left, so that each column is copied log2(parts) times. */
function joinAll(backend: Backend, parts: readonly BufferHandle[]): BufferHandle {
  let level = [...parts];
  while (level.length > 1) {
    const next: BufferHandle[] = [];
    for (let i = 0; i < level.length; i += 2) {
      if (i + 1 === level.length) next.push(level[i]);
      else {
        next.push(backend.run(joinColumns, { a: level[i], b: level[i + 1] }, {}).y);
        backend.free(level[i], level[i + 1]);
      }
    }
    level = next;
  }
  return level[0];
}
