import {
  type Backend,
  type BufferHandle,
  CalibrantError,
  type Checkpoint,
  elementCount,
  gather,
  type Tensor,
  tensor,
  toF32,
} from '@calibrant/core';
import { type ArchitectureDescription, weightsOf } from '../description.js';
import { loadWeight, loadWeights, readFloat } from './load-weight.js';
import type { PositionBuffers } from './position-buffers.js';
import { runSteps } from './run-steps.js';

export interface EmbedOptions {
  /** The lane that the result lives on; visible to all if absent. */
  readonly lane?: number;
  /** The ids are one token each of several sequences, all at this position; if absent, one sequence from position 0. */
  readonly position?: number;
}

/** Token ids to the first hidden state. */
export interface Embedding {
  embed(ids: Int32Array, options?: EmbedOptions): Promise<BufferHandle>;
  release(): Promise<void>;
}

/**
 * Looks up embeddings. A table of at most `keepBytes` in f32 is kept in memory; of a larger one only the rows that a sequence uses are read.
 */
export function createEmbedding(
  backend: Backend,
  checkpoint: Checkpoint,
  { embedding, vocabSize }: ArchitectureDescription,
  positions: PositionBuffers,
  keepBytes: number,
): Embedding {
  const { weight, steps = [] } = embedding;
  const { name, shape } = weight;
  const keep = elementCount(shape) * 4 <= keepBytes;
  let table: Promise<BufferHandle> | undefined;
  let stepWeights: Promise<Map<string, BufferHandle>> | undefined;

  return {
    async embed(ids, { position, ...options } = {}) {
      checkIds(ids, vocabSize);
      const rows = await lookUpRows(ids, options);
      if (steps.length === 0) return rows;
      try {
        stepWeights ??= loadWeights(backend, checkpoint, weightsOf(steps));
        const at = position === undefined ? positions.sequence(ids.length) : positions.step(position, ids.length);
        return await runSteps(steps, rows, { backend, weights: await stepWeights, positions: await at });
      } finally {
        backend.free(rows);
      }
    },
    async release() {
      const held = [table, stepWeights?.then((weights) => [...weights.values()])];
      table = stepWeights = undefined;
      for (const handles of held) backend.free(...[(await handles?.catch(() => undefined)) ?? []].flat());
    },
  };

  async function lookUpRows(ids: Int32Array, options: { readonly lane?: number }): Promise<BufferHandle> {
    if (keep) {
      table ??= loadWeight(backend, checkpoint, weight);
      return lookUp(await table, ids, options);
    }
    const unique = [...new Set(ids)].sort((a, b) => a - b);
    const rowOf = new Map(unique.map((id, row) => [id, row]));
    const rows = await backend.upload(await readRows(checkpoint, name, unique, shape[1]), options);
    try {
      return await lookUp(
        rows,
        ids.map((id) => rowOf.get(id)!),
        options,
      );
    } finally {
      backend.free(rows);
    }
  }

  async function lookUp(from: BufferHandle, ids: Int32Array, options: { readonly lane?: number }): Promise<BufferHandle> {
    const handle = await backend.upload(tensor('i32', [ids.length], ids), options);
    const { y } = backend.run(gather, { table: from, ids: handle }, {});
    backend.free(handle);
    return y;
  }
}

function checkIds(ids: Int32Array, vocabSize: number): void {
  if (ids.length === 0) throw new CalibrantError('INVALID_ARGUMENT', 'A sequence must hold at least one token.');
  const bad = ids.findIndex((id) => id < 0 || id >= vocabSize);
  if (bad >= 0)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `Token ${bad} of the sequence is ${ids[bad]}, outside the vocabulary of ${vocabSize}. Use the tokenizer that belongs to the model.`,
    );
}

/** Reads single rows, neighbours in one piece. */
async function readRows(checkpoint: Checkpoint, name: string, ids: readonly number[], width: number): Promise<Tensor> {
  const rows = tensor('f32', [ids.length, width]);
  for (let from = 0; from < ids.length; ) {
    let to = from + 1;
    while (to < ids.length && ids[to] === ids[to - 1] + 1) to++;
    const part = await readFloat(checkpoint, name, { start: ids[from], end: ids[to - 1] + 1 });
    (rows.data as Float32Array).set(toF32(part), from * width);
    from = to;
  }
  return rows;
}
