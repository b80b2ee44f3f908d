import type { Checkpoint, Tensor } from '@calibrant/core';
import { type ArchitectureDescription, architectures, storedParts, type WeightRef, weightsOf } from '@calibrant/transformer';
import { formulaTensor, goldenModel } from './golden-model.js';
import { memoryCheckpoint } from './safetensors-checkpoint.js';

/** The description that this package gives of a config. */
export function describeConfig(config: Record<string, unknown>): ArchitectureDescription {
  return architectures.find(({ modelTypes }) => modelTypes.includes(config['model_type'] as string))!.describe(config);
}

/** A golden model with other settings, and weights of a size at which everything counts, for every tensor that its description asks for. */
export function variantModel(
  name: string,
  changes: Record<string, unknown>,
): { config: Record<string, any>; weights: Map<string, Tensor>; checkpoint: Checkpoint } {
  const config = { ...goldenModel(name).checkpoint.config, ...changes };
  const { embedding, blocks, head } = describeConfig(config);
  const needed: WeightRef[] = [
    embedding.weight,
    ...weightsOf(embedding.steps ?? []),
    ...blocks.flatMap(weightsOf),
    ...weightsOf(head.steps),
    head.weight,
    ...(head.bias ? [head.bias] : []),
  ];
  const weights = new Map<string, Tensor>();
  for (const part of needed.flatMap(storedParts)) {
    const isNorm = /norm|ln_/.test(part.name) && part.name.endsWith('weight');
    const scale = part.shape.length === 1 || isNorm ? 0.2 : part.shape[0] > 256 ? 0.6 : 1.2 / Math.sqrt(part.shape[1]);
    weights.set(part.name, formulaTensor(part.name, [...part.shape], isNorm ? 1 : 0, scale, 5));
  }
  return { config, weights, checkpoint: memoryCheckpoint(name, config, weights) };
}
