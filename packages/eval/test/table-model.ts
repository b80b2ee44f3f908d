import { type Backend, type BufferHandle, rows, tensor, toF32 } from '@calibrant/core';
import type { LanguageModel } from '@calibrant/eval';

/** A model whose logits after token i are row i of a table: everything about it can be computed by hand. */
export interface TableModel extends LanguageModel {
  /** Sequences per `run` call, in order. */
  readonly batches: number[];
}

export function tableModel(backend: Backend, table: readonly (readonly number[])[], handles: BufferHandle[] = []): TableModel {
  const vocabSize = table[0].length;
  const values = tensor('f32', [table.length, vocabSize], Float32Array.from(table.flat()));
  const batches: number[] = [];
  return {
    batches,
    description: { vocabSize, hiddenSize: 1 },
    async run(sequences) {
      batches.push(sequences.length);
      return Promise.all(sequences.map((ids) => backend.upload(tensor('f32', [ids.length, 1], Float32Array.from(ids)))));
    },
    async head(hidden) {
      const ids = toF32(await backend.download(hidden));
      const logits = tensor('f32', [ids.length, vocabSize]);
      for (const [t, id] of ids.entries()) (logits.data as Float32Array).set(toF32(rows(values, id, id + 1)), t * vocabSize);
      const handle = await backend.upload(logits);
      handles.push(handle);
      return handle;
    },
  };
}
