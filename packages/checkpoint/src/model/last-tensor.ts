import type { Checkpoint, Tensor } from '@calibrant/core';

/**
 * Reads whole tensors and keeps the last one: layouts that store a weight's rows as columns cannot read some of them alone, and rows are asked for in
 * runs of one weight.
 */
export function lastTensor(checkpoint: Checkpoint): (name: string) => Promise<Tensor> {
  let last: { readonly name: string; readonly value: Promise<Tensor> } | undefined;
  return (name) => {
    if (last?.name !== name) last = { name, value: checkpoint.read(name) };
    return last.value;
  };
}
