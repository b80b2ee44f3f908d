import {
  type Backend,
  type Checkpoint,
  type RunEvent,
  type Tensor,
  type TensorScheme,
  type Transform,
  type TransformFacts,
  tensor,
} from '@calibrant/core';
import { openTransformer, weightsOf } from '@calibrant/transformer';
import { createHiddenStates, embedSequences } from '../src/run/hidden-states.js';
import { overlayCheckpoint, storedValues } from '../src/transform/overlay-checkpoint.js';
import { planTransforms } from '../src/transform/plan-transforms.js';
import { plannedGrids } from '../src/transform/scaling-sites.js';
import { transformBlock } from '../src/transform/transform-block.js';

/** A model after a transform of all its blocks, without any rounding. */
export async function transformedModel(
  checkpoint: Checkpoint,
  transform: Transform<any>,
  options: unknown,
  sequences: readonly Int32Array[],
  backend: Backend,
  scheme: TensorScheme = { kind: 'affine', bits: 8, granularity: 'channel', symmetric: true },
): Promise<{ model: Checkpoint; facts: TransformFacts[]; warnings: string[] }> {
  const warnings: string[] = [];
  const onEvent = (event: RunEvent) => {
    if ('warning' in event) warnings.push(event.warning);
  };
  const transformer = openTransformer(checkpoint, backend);
  const linears = new Set(transformer.linears().map(({ name }) => name));
  const plan = [...checkpoint.tensors.values()].map(({ name, shape }) => ({
    name,
    source: name,
    shape,
    scheme: linears.has(name) ? scheme : ({ kind: 'float', dtype: 'f32' } as const),
  }));
  const parsed = transform.options.parse(options);
  const transforms = planTransforms([{ transform, options: parsed }], transformer.description, plan, undefined, { onEvent });
  const hidden = createHiddenStates(backend, await embedSequences(transformer, sequences));
  const input = { transformer, transforms, grids: plannedGrids(plan), lengths: sequences.map(({ length }) => length), onEvent };
  const changed = new Map<string, Tensor>();
  const facts: TransformFacts[] = [];
  for (const [index, steps] of transformer.description.blocks.entries()) {
    const block = transformer.block(index);
    const weights = await block.load();
    const result = await transformBlock(input, block, weights, hidden, true);
    facts.push(...result.facts.flat());
    const refs = weightsOf(steps).flatMap((ref) => (weights.has(ref.name) ? [[ref, weights.get(ref.name)!] as const] : []));
    for (const [name, value] of await storedValues(transformer, new Map(refs))) changed.set(name, tensor('f32', value.shape, value.data));
    hidden.replace(result.outputs!);
    block.release(weights);
  }
  await transformer.release();
  return { model: overlayCheckpoint(checkpoint, changed), facts, warnings };
}
