import type { Checkpoint } from '@calibrant/core';
import type { ArchitectureDescription } from '../description.js';

/**
 * Fits a description to checkpoints that begin their tensor names otherwise (`h.0.ln_1.weight` for `transformer.h.0.ln_1.weight`, as in the original
 * GPT-2 and Bloom).
 */
export function fitPrefix(checkpoint: Checkpoint, description: ArchitectureDescription): ArchitectureDescription {
  const { otherPrefixes = {}, embedding } = description;
  const other = (name: string) => {
    const found = Object.entries(otherPrefixes).find(([usual]) => name.startsWith(usual));
    return found ? found[1] + name.slice(found[0].length) : name;
  };
  const { name } = embedding.weight;
  if (checkpoint.tensors.has(name) || !checkpoint.tensors.has(other(name))) return description;
  return renameWeights(description, other) as ArchitectureDescription;
}

/** Renames every weight and stored part (whatever has a name and a shape) in a plain value. */
function renameWeights(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => renameWeights(item, rename));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, renameWeights(item, rename)]);
  const copy = Object.fromEntries(entries) as { name?: unknown; shape?: unknown };
  return typeof copy.name === 'string' && Array.isArray(copy.shape) ? { ...copy, name: rename(copy.name) } : copy;
}
