import type { BufferHandle, QuantizerContext } from '@calibrant/core';
import { diagonal } from './hessian.js';

/**
 * What an error of 1 in each channel costs once the columns behind it have made up for what they can: `1 / u_ii²`, by channel. The errors of
 * GPTQ sum up to `Σ (w_i − q_i)² / u_ii²` exactly, so these are the weights with which scales should be fitted. (For independent inputs this is the
 * Hessian's diagonal.)
 */
export async function columnCosts(u: BufferHandle, order: Int32Array, { backend }: QuantizerContext): Promise<Float32Array> {
  const handle = backend.run(diagonal, { h: u }, {}).diagonal;
  const pivots = (await backend.download(handle).finally(() => backend.free(handle))).data as Float32Array;
  const costs = new Float32Array(order.length);
  order.forEach((channel, position) => {
    costs[channel] = 1 / (pivots[position] * pivots[position]);
  });
  return costs;
}
