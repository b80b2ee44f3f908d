import { createRng, type Tensor, tensor } from '@calibrant/core';

/** Normal values, the same for the same seed. */
export function normal(shape: readonly number[], seed: number): Tensor {
  const rng = createRng(seed);
  const value = tensor('f32', shape);
  for (let i = 0; i < value.data.length; i++) value.data[i] = rng.normal();
  return value;
}
