import { add, type Backend, type BufferHandle, linear, tensor, transpose, withBuffers } from '@calibrant/core';
import { gatherColumns } from './gather-columns.js';

export interface AsymmetricInput {
  /** f32 `[out, in]`. */
  readonly weight: BufferHandle;
  /** `C = 2/n · Σ (x − x̃) x̃ᵀ`, f32 `[in, in]`. */
  readonly deviation: BufferHandle;
  /** The factor of the damped inverse, `H⁻¹ = uᵀu`, in processing order. */
  readonly u: BufferHandle;
  /** The channel at each position. */
  readonly order: Int32Array;
  /** 1 for channels whose weights count as zero. */
  readonly dead: Uint8Array;
  readonly alpha: number;
}

/**
 * The weight whose outputs on the inputs x̃ that the layer will get come nearest to those of `weight` on the inputs x of the full-precision model:
 * `W + α · W · C · H⁻¹`. With α = 1 it minimizes `Σ |V x̃ − W x|²` over V (the normal equations `V · x̃x̃ᵀ = W · x x̃ᵀ`), the objective of GPTAQ (Li et al., arXiv
 * 2504.02692, equation 4). Quantizing it by GPTQ minimizes the same objective over the grid, since `|Q x̃ − W x|² = |(Q − V) x̃|²` and a part that no Q changes. GPTAQ itself
 * spreads the correction of each column over later ones as the loop goes; here all columns share it at once, whatever their order. The caller frees the result.
 */
export function asymmetricTarget(backend: Backend, { weight, deviation, u, order, dead, alpha }: AsymmetricInput): Promise<BufferHandle> {
  return withBuffers(backend, async (track) => {
    const upload = async (columns: Int32Array) => track(await backend.upload(tensor('i32', [columns.length], columns)));
    const pick = (x: BufferHandle, columns: BufferHandle) => track(backend.run(gatherColumns, { x, columns }, {}).y);
    const turn = (x: BufferHandle) => track(backend.run(transpose, { x }, {}).y);
    /** `x · mᵀ`. */
    const times = (x: BufferHandle, m: BufferHandle) => track(backend.run(linear, { x, w: m }, {}).y);

    const arranged = await upload(order);
    const alive = await upload(order.map((channel) => (dead[channel] ? -1 : channel)));
    const back = new Int32Array(order.length);
    order.forEach((channel, position) => {
      back[channel] = position;
    });
    const deviationTurned = pick(turn(pick(deviation, arranged)), arranged);
    const correlated = times(pick(weight, alive), deviationTurned);
    const correction = pick(times(times(correlated, u), turn(u)), await upload(back));
    return backend.run(add, { a: weight, b: correction }, { scale: alpha }).y;
  });
}
