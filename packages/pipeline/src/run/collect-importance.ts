import { createImportanceCollector } from '@calibrant/calibrators';
import type { BufferHandle, ImportanceEntry, RunOptions } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { createHiddenStates, embedSequences } from './hidden-states.js';

export interface CollectImportanceInput extends RunOptions {
  readonly transformer: Transformer;
  readonly sequences: readonly Int32Array[];
  /** Also the input of the output projection, where that is a weight of its own. */
  readonly output?: boolean;
}

/**
 * `Σ x²` per input channel, and the tokens seen, of every linear layer of a model on some sequences, by the name of the weight in the checkpoint. One
 * block's weights are in memory at a time. The result does not depend on lanes.
 */
export async function collectImportance({
  transformer,
  sequences,
  output = false,
  onEvent,
  signal,
}: CollectImportanceInput): Promise<Map<string, ImportanceEntry>> {
  const { backend, description } = transformer;
  const entries = new Map<string, ImportanceEntry>();
  const hidden = createHiddenStates(backend, await embedSequences(transformer, sequences, signal));
  const total = description.blocks.length;
  for (let index = 0; index < total; index++) {
    onEvent?.({ phase: 'Observing inputs', done: index, total, unit: 'blocks' });
    const block = transformer.block(index);
    const collector = createImportanceCollector(backend, new Map(block.stages.map(({ point, linears }) => [point, linears[0].shape[1]])));
    const weights = await block.load();
    try {
      await hidden.pass(async (state) => {
        const next = await block.forward(state, weights, { observe: collector.observe });
        await collector.settle();
        return next;
      }, signal);
    } finally {
      block.release(weights);
    }
    const totals = await collector.finish();
    for (const { point, linears } of block.stages) for (const { name } of linears) entries.set(name, totals.get(point) as ImportanceEntry);
  }
  onEvent?.({ phase: 'Observing inputs', done: total, total, unit: 'blocks' });
  if (output && !description.head.tied) {
    const { name, shape } = description.head.weight;
    const collector = createImportanceCollector(backend, new Map([[name, shape[1]]]));
    await hidden.pass(async (state) => {
      const normed: BufferHandle = await transformer.finalNorm(state);
      collector.observe(name, normed);
      backend.free(normed);
      await collector.settle();
      return undefined;
    }, signal);
    entries.set(name, (await collector.finish()).get(name) as ImportanceEntry);
  }
  return entries;
}
