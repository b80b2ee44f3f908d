import type { ArchitecturePlugin, Backend, Checkpoint, ExecutionPlan, Registry } from '@calibrant/core';
import { type ArchitectureDescription, openTransformer, type Transformer } from '@calibrant/transformer';

/** A checkpoint as a model that runs, by the architectures that are registered, and by an execution plan that replaces its own. */
export function openRegistered(
  checkpoint: Checkpoint,
  backend: Backend,
  registry: Registry,
  execution?: ExecutionPlan | null,
): Transformer {
  return openTransformer(checkpoint, backend, {
    ...(execution === undefined ? {} : { execution }),
    architectures: registry.list('architecture') as readonly ArchitecturePlugin<ArchitectureDescription>[],
  });
}
