import { createInputCollector, type InputStatistics } from '@calibrant/calibrators';
import type { RunOptions } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { createHiddenStates, embedSequences } from '../run/hidden-states.js';

/**
 * Statistics of the input of every linear layer of a model on some sequences, by the name of the weight. Layers that read one value share an object. One block's weights are in
 * memory at a time, and the result does not depend on lanes.
 */
export async function collectInputs(
  transformer: Transformer,
  sequences: readonly Int32Array[],
  { onEvent, signal }: RunOptions,
): Promise<Map<string, InputStatistics>> {
  const { backend, description } = transformer;
  const inputs = new Map<string, InputStatistics>();
  const hidden = createHiddenStates(backend, await embedSequences(transformer, sequences, signal));
  const total = description.blocks.length;
  for (let index = 0; index < total; index++) {
    onEvent?.({ phase: 'Observing inputs', done: index, total, unit: 'blocks' });
    const block = transformer.block(index);
    // Points are named by a layer that reads them: a person knows it.
    const nameOf = new Map(block.stages.map(({ point, linears }) => [point, linears[0].name]));
    const collector = createInputCollector(backend, new Map(block.stages.map(({ linears }) => [linears[0].name, linears[0].shape[1]])));
    const observe = (point: string, value: Parameters<typeof collector.observe>[1]) => {
      const name = nameOf.get(point);
      if (name !== undefined) collector.observe(name, value);
    };
    const weights = await block.load();
    try {
      await hidden.pass(async (state) => {
        const next = await block.forward(state, weights, { observe });
        await collector.settle();
        return next;
      }, signal);
      const found = await collector.finish();
      for (const { linears } of block.stages)
        for (const { name } of linears) inputs.set(name, found.get(linears[0].name) as InputStatistics);
    } finally {
      block.release(weights);
    }
  }
  onEvent?.({ phase: 'Observing inputs', done: total, total, unit: 'blocks' });
  return inputs;
}
