import { emptyStatistics, type InputStatistics } from '@calibrant/calibrators';
import type { BufferHandle, RunOptions } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { createRangeCollector } from '../execution/static-ranges.js';
import { createHessianSums } from '../run/hessian-sums.js';
import { createHiddenStates, embedSequences } from '../run/hidden-states.js';
import type { HessianFile } from './hessian-file.js';
import type { CacheStatistics, ModelStatistics } from './statistics-file.js';

/** Bounds how far the queue runs ahead of the lanes where copies of inputs wait in it. */
const SYNC_EVERY = 16;

/**
 * Statistics of the input of every linear layer of a model on some sequences, by the name of the weight, and of the caches. Layers that read one value share an object. With `hessians` their Hessians are written there. One block's weights are in
 * memory at a time, and the result does not depend on lanes.
 */
export async function collectInputs(
  transformer: Transformer,
  sequences: readonly Int32Array[],
  { onEvent, signal }: RunOptions,
  hessians?: HessianFile,
): Promise<Pick<ModelStatistics, 'inputs' | 'caches'>> {
  const { backend, description } = transformer;
  const inputs = new Map<string, InputStatistics>();
  const caches = new Map<number, CacheStatistics>();
  const hidden = createHiddenStates(backend, await embedSequences(transformer, sequences, signal));
  const total = description.blocks.length;
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  for (let index = 0; index < total; index++) {
    onEvent?.({ phase: 'Observing inputs', done: index, total, unit: 'blocks' });
    const block = transformer.block(index);
    const collector = createRangeCollector(backend, block);
    const weights = await block.load();
    const channels = new Map(block.stages.map(({ point, linears }) => [point, linears[0].shape[1]]));
    const sums = hessians && (await createHessianSums(backend, channels, new Set(), tokens));
    const observe = (point: string, value: BufferHandle) => {
      collector.observe(point, value);
      if (sums?.has(point)) sums.add(point, value, undefined);
    };
    try {
      await hidden.pass(async (state, sequence) => {
        const next = await block.forward(state, weights, { ...collector, observe });
        await collector.settle();
        if (sums && sequence % SYNC_EVERY === SYNC_EVERY - 1) await backend.sync();
        return next;
      }, signal);
      const found = await collector.finish();
      for (const stage of block.stages) {
        const statistics = found.of(stage) ?? emptyStatistics(stage.linears[0].shape[1]);
        for (const { name } of stage.linears) inputs.set(name, statistics);
      }
      for (const { point, linears } of sums ? block.stages : []) {
        const hessian = sums?.observations().get(point)?.hessian;
        if (hessian) await hessians?.write(linears[0].name, await backend.download(hessian));
      }
      const [key, value] = [found.ofCache('key'), found.ofCache('value')];
      if (key && value) caches.set(index, { key, value });
    } finally {
      sums?.free();
      block.release(weights);
    }
  }
  onEvent?.({ phase: 'Observing inputs', done: total, total, unit: 'blocks' });
  return { inputs, caches };
}
