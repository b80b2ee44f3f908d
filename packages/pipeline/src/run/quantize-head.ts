import type { BufferHandle, PlannedTensor } from '@calibrant/core';
import type { CalibratedInput, LayerFacts } from './calibrated.js';
import { loadWhole } from './encode-stream.js';
import { createHessianSums } from './hessian-sums.js';
import type { HiddenStates } from './hidden-states.js';
import { quantizeLinear } from './quantize-linear.js';

const POINT = 'head';

/**
 * Quantizes the output projection on the last block's outputs: its inputs are those after the final norm. The projection is in memory whole, in f32.
 *
 * @param full the last block's outputs in the full-precision model, where the quantizer compares with them
 */
export async function quantizeHead(
  input: CalibratedInput,
  planned: PlannedTensor,
  hidden: HiddenStates,
  full: HiddenStates | undefined,
): Promise<LayerFacts> {
  const { transformer, quantizer, options, sequences, writer, backend, signal } = input;
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  const sums = await createHessianSums(backend, new Map([[POINT, planned.shape[1]]]), new Set(full ? [POINT] : []), tokens);
  let weight: BufferHandle | undefined;
  try {
    await hidden.pass(async (state, index) => {
      const reference = full && (await normedReference(full, index));
      const value = await transformer.finalNorm(state);
      sums.add(POINT, value, reference);
      backend.free(value, reference);
      return undefined;
    }, signal);
    weight = await loadWhole(transformer.checkpoint, planned, backend);
    const observations = sums.observations().get(POINT);
    const { tensor, facts = {} } = await quantizeLinear(quantizer, options.of(planned), planned, weight, observations, backend, input);
    await writer.write(planned, { rowStart: 0, value: tensor });
    return facts;
  } finally {
    backend.free(weight);
    sums.free();
  }

  async function normedReference(states: HiddenStates, index: number): Promise<BufferHandle> {
    const state = await backend.upload(states.states[index], { lane: index % backend.lanes });
    const normed = await transformer.finalNorm(state);
    const shared = backend.share(normed);
    backend.free(state, normed);
    return shared;
  }
}
