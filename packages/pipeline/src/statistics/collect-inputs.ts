import { emptyStatistics, type InputStatistics } from '@calibrant/calibrators';
import type { RunOptions } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { createRangeCollector } from '../execution/static-ranges.js';
import { createHiddenStates, embedSequences } from '../run/hidden-states.js';
import type { CacheStatistics, ModelStatistics } from './statistics-file.js';

/**
 * Statistics of the input of every linear layer of a model on some sequences, by the name of the weight, and of the caches. Layers that read one value share an object. One block's weights are in
 * memory at a time, and the result does not depend on lanes.
 */
export async function collectInputs(
  transformer: Transformer,
  sequences: readonly Int32Array[],
  { onEvent, signal }: RunOptions,
): Promise<Pick<ModelStatistics, 'inputs' | 'caches'>> {
  const { backend, description } = transformer;
  const inputs = new Map<string, InputStatistics>();
  const caches = new Map<number, CacheStatistics>();
  const hidden = createHiddenStates(backend, await embedSequences(transformer, sequences, signal));
  const total = description.blocks.length;
  for (let index = 0; index < total; index++) {
    onEvent?.({ phase: 'Observing inputs', done: index, total, unit: 'blocks' });
    const block = transformer.block(index);
    const collector = createRangeCollector(backend, block);
    const weights = await block.load();
    try {
      await hidden.pass(async (state) => {
        const next = await block.forward(state, weights, collector);
        await collector.settle();
        return next;
      }, signal);
      const found = await collector.finish();
      for (const stage of block.stages) {
        const statistics = found.of(stage) ?? emptyStatistics(stage.linears[0].shape[1]);
        for (const { name } of stage.linears) inputs.set(name, statistics);
      }
      const [key, value] = [found.ofCache('key'), found.ofCache('value')];
      if (key && value) caches.set(index, { key, value });
    } finally {
      block.release(weights);
    }
  }
  onEvent?.({ phase: 'Observing inputs', done: total, total, unit: 'blocks' });
  return { inputs, caches };
}
