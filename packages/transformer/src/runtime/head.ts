import {
  type Backend,
  type BufferHandle,
  type Checkpoint,
  convert,
  type ExecutionPlan,
  linear,
  roundActivations,
  scale,
  tensor,
  toF32,
} from '@calibrant/core';
import { type ArchitectureDescription, weightsOf } from '../description.js';
import { joinColumns } from '../kernels/join-columns.js';
import { softcap } from '../kernels/softcap.js';
import { loadWeight, loadWeights, readFloat } from './load-weight.js';
import type { PositionBuffers } from './position-buffers.js';
import { runSteps } from './run-steps.js';

/** The last hidden state to logits. */
export interface Head {
  /** `hidden [tokens, hiddenSize]` to logits `[tokens, vocabSize]`; `hidden` stays the caller's. */
  logits(hidden: BufferHandle): Promise<BufferHandle>;
  /** The steps before the projection alone: the final norm. */
  normed(hidden: BufferHandle): Promise<BufferHandle>;
  release(): Promise<void>;
}

type StepWeights = ReadonlyMap<string, BufferHandle>;

/** Rows of the projection, and their biases. */
interface Chunk {
  readonly weight: BufferHandle;
  readonly bias: BufferHandle | undefined;
}

/**
 * Projects to the vocabulary. A projection of at most `chunkBytes` in f32 is held in f32; a larger one is held in chunks of rows as they are stored
 * (bf16 takes half the memory), each converted while it is used.
 */
export function createHead(
  backend: Backend,
  checkpoint: Checkpoint,
  { head, vocabSize }: ArchitectureDescription,
  positions: PositionBuffers,
  chunkBytes: number,
  execution?: ExecutionPlan,
): Head {
  const grid = execution?.activations.get(head.weight.name);
  let steps: Promise<StepWeights> | undefined;
  let projection: Promise<readonly Chunk[]> | undefined;

  async function loadProjection(): Promise<readonly Chunk[]> {
    const chunkRows = Math.max(1, Math.floor(chunkBytes / (head.weight.shape[1] * 4)));
    const chunks: Chunk[] = [];
    try {
      const biases = head.bias && toF32(await readFloat(checkpoint, head.bias.name));
      for (let start = 0; start < vocabSize; start += chunkRows) {
        const range = { start, end: Math.min(vocabSize, start + chunkRows) };
        const weight =
          chunkRows >= vocabSize
            ? await loadWeight(backend, checkpoint, head.weight)
            : await backend.upload(await readFloat(checkpoint, head.weight.name, range));
        const part = biases?.subarray(range.start, range.end);
        const bias = part && (await backend.upload(tensor('f32', [part.length], part)));
        chunks.push({ weight, bias });
      }
      return chunks;
    } catch (error) {
      free(chunks);
      throw error;
    }
  }

  function free(chunks: readonly Chunk[]): void {
    backend.free(...chunks.flatMap(({ weight, bias }) => [weight, bias]));
  }

  function project(x: BufferHandle, { weight, bias }: Chunk): BufferHandle {
    if (weight.dtype === 'f32') return finish(backend.run(linear, { x, w: weight, bias }, {}).y);
    const { y: w } = backend.run(convert, { x: weight }, { to: 'f32' });
    const { y } = backend.run(linear, { x, w, bias }, {});
    backend.free(w);
    return finish(y);
  }

  /** The factor and the cap of the logits, in the place of the projection's output. */
  function finish(projected: BufferHandle): BufferHandle {
    let logits = projected;
    const replace = (next: BufferHandle): void => {
      backend.free(logits);
      logits = next;
    };
    if (head.scale !== undefined) replace(backend.run(scale, { x: logits }, { scale: head.scale }).y);
    if (head.softcap !== undefined) replace(backend.run(softcap, { x: logits }, { cap: head.softcap }).y);
    return logits;
  }

  async function normed(hidden: BufferHandle): Promise<BufferHandle> {
    steps ??= loadWeights(backend, checkpoint, weightsOf(head.steps));
    const weights = await steps;
    return runSteps(head.steps, hidden, { backend, weights, positions: await positions.sequence(hidden.shape[0]) });
  }

  return {
    normed,
    async logits(hidden) {
      projection ??= loadProjection();
      const chunks = await projection;
      const value = await normed(hidden);
      const x = grid ? roundActivations(backend, value, grid) : value;
      const parts = chunks.map((chunk) => project(x, chunk));
      backend.free(value, ...(grid ? [x] : []));
      return joinAll(backend, parts);
    },
    async release() {
      const held = [await steps?.catch(() => undefined), await projection?.catch(() => undefined)] as const;
      steps = undefined;
      projection = undefined;
      backend.free(...(held[0]?.values() ?? []));
      free(held[1] ?? []);
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
