import type { ArchitecturePlugin, Backend, Checkpoint, Registry } from '@calibrant/core';
import { type ArchitectureDescription, openTransformer, type Transformer } from '@calibrant/transformer';

/** A checkpoint as a model that runs, by the architectures that are registered. */
export function openRegistered(checkpoint: Checkpoint, backend: Backend, registry: Registry): Transformer {
  return openTransformer(checkpoint, backend, {
    architectures: registry.list('architecture') as readonly ArchitecturePlugin<ArchitectureDescription>[],
  });
}
