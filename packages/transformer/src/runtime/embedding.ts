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
import type { ArchitectureDescription } from '../description.js';
import { loadWeight, readFloat } from './load-weight.js';

/** Token ids to the first hidden state. */
export interface Embedding {
  embed(ids: Int32Array, options?: { readonly lane?: number }): Promise<BufferHandle>;
  release(): Promise<void>;
}

/**
 * Looks up embeddings. A table of at most `keepBytes` in f32 is kept in memory; of a larger one only the rows that a sequence uses are read.
 */
export function createEmbedding(
  backend: Backend,
  checkpoint: Checkpoint,
  { embedding, vocabSize }: ArchitectureDescription,
  keepBytes: number,
): Embedding {
  const { name, shape } = embedding.weight;
  const keep = elementCount(shape) * 4 <= keepBytes;
  let table: Promise<BufferHandle> | undefined;

  return {
    async embed(ids, options = {}) {
      checkIds(ids, vocabSize);
      if (keep) {
        table ??= loadWeight(backend, checkpoint, name);
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
    },
    async release() {
      const held = table;
      table = undefined;
      if (held) backend.free(await held.catch(() => undefined));
    },
  };

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
