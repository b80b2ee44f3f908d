import type { Checkpoint } from '@calibrant/core';
import type { GgufMetadata } from '../file/metadata.js';

/** What a checkpoint that was read from GGUF keeps of its file, so that it can be written as it was. */
export interface GgufOrigin {
  readonly metadata: GgufMetadata;
  /** The tensors of rope factors, f32, by name. */
  readonly factors: ReadonlyMap<string, Float32Array>;
}

const ORIGIN = Symbol.for('calibrant.gguf-origin');

export function withOrigin(checkpoint: Checkpoint, origin: GgufOrigin): Checkpoint {
  return Object.assign(checkpoint, { [ORIGIN]: origin });
}

/** undefined for a checkpoint of another kind. */
export function ggufOrigin(checkpoint: Checkpoint): GgufOrigin | undefined {
  return (checkpoint as { [ORIGIN]?: GgufOrigin })[ORIGIN];
}
