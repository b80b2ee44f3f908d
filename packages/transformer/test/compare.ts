import { type Tensor, toF32 } from '@calibrant/core';

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length}, ${b.length}`);
  let max = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= max)) max = difference;
  }
  return max;
}

export function row(value: Tensor, index: number): Float32Array {
  const width = value.shape.at(-1)!;
  const floats = toF32(value);
  return floats.subarray((index < 0 ? floats.length / width + index : index) * width).subarray(0, width);
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
