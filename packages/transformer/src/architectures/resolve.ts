import { type ArchitecturePlugin, CalibrantError, type Checkpoint, describeSpec } from '@calibrant/core';
import { type ArchitectureDescription, type StoredPart, storedParts, weightsOf } from '../description.js';
import { fitPrefix } from './other-prefixes.js';

/**
 * Finds the architecture of a checkpoint by `model_type` (or `architectures[0]`) of its config.json and describes it.
 *
 * @throws CalibrantError `UNSUPPORTED` with the supported names when none fits.
 */
export function describeCheckpoint(
  checkpoint: Checkpoint,
  known: readonly ArchitecturePlugin<ArchitectureDescription>[],
): ArchitectureDescription {
  const { model_type: modelType, architectures } = checkpoint.config;
  const names = [modelType, Array.isArray(architectures) ? architectures[0] : undefined];
  const plugin = names.map((name) => known.find(({ modelTypes }) => modelTypes.includes(name as string))).find((found) => found);
  if (!plugin) {
    const said = names.filter((name) => typeof name === 'string').join(' / ');
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name}: ${said ? `the architecture "${said}" is not supported` : 'config.json names no architecture (model_type)'}. ` +
        `Supported are ${known.map(({ name }) => name).join(', ')}; a plug-in can add others by defineArchitecture.`,
      { file: 'config.json', option: 'model_type' },
    );
  }
  return fitPrefix(checkpoint, plugin.describe(checkpoint.config));
}

/** How many names an error lists before it only counts. */
const LISTED = 5;

/**
 * Checks that the checkpoint holds every tensor of the description in its shape.
 *
 * @throws CalibrantError `CORRUPT_FILE` that names what is missing or what has another shape.
 */
export function checkTensors(checkpoint: Checkpoint, description: ArchitectureDescription): void {
  const { embedding, blocks, head } = description;
  const weights = [
    embedding.weight,
    ...weightsOf(embedding.steps ?? []),
    ...blocks.flatMap(weightsOf),
    ...weightsOf(head.steps),
    head.weight,
    ...(head.bias ? [head.bias] : []),
  ];
  const needed: StoredPart[] = weights.flatMap(storedParts);
  const missing = needed.filter(({ name }) => !checkpoint.tensors.has(name));
  if (missing.length > 0) {
    const listed = missing.slice(0, LISTED).map(({ name, shape }) => `${name} [${shape.join(', ')}]`);
    const rest = missing.length > LISTED ? ` and ${missing.length - LISTED} more` : '';
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${checkpoint.name}: the ${description.name} model that config.json describes needs ${listed.join(', ')}${rest}, which the checkpoint does not hold. ` +
        'Check that all shards are there and that config.json belongs to these weights.',
      { tensor: missing[0].name },
    );
  }
  for (const { name, shape } of needed) {
    const found = checkpoint.tensors.get(name)!;
    if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i]))
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${checkpoint.name}: ${name} must have shape [${shape.join(', ')}] by config.json, found ${describeSpec(found)} in ${found.file}. Check that config.json belongs to these weights.`,
        { tensor: name, file: found.file },
      );
  }
}
