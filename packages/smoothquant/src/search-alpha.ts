import {
  type ActivationScheme,
  type Backend,
  type BufferHandle,
  fakeQuantizeWeight,
  linear,
  parseActivationScheme,
  type QuantizerContext,
  roundActivations,
  scaleMatrix,
  squaredErrors,
  type Tensor,
  type TransformLinear,
  tensor,
  withBuffers,
} from '@calibrant/core';

/** The grid of inputs that the search assumes where the recipe rounds none. */
const ASSUMED = parseActivationScheme('int8-token');

/** The loss of one migration strength. */
export interface Trial {
  readonly alpha: number;
  /** Squared error of the outputs relative to their squared size; that of all layers together. */
  readonly loss: number;
}

/**
 * The output error of a site's quantized layers when its channels are scaled by some factors: inputs `Q(x / s)` on the grid of activations times weights `Q(w · s)` on
 * theirs, against the full-precision product, over sampled tokens.
 */
export async function outputLoss(
  linears: readonly TransformLinear[],
  samples: ReadonlyMap<string, Tensor>,
  weights: ReadonlyMap<string, BufferHandle>,
  factors: Float32Array,
  { backend, calibrator }: Pick<QuantizerContext, 'backend' | 'calibrator'>,
): Promise<number> {
  let [error, power] = [0, 0];
  for (const layer of linears) {
    const sample = samples.get(layer.point);
    if (!layer.scheme || !sample || sample.shape[0] === 0) continue;
    const { scheme, activation = ASSUMED } = layer;
    await withBuffers(backend, async (track) => {
      const w = weights.get(layer.weight) as BufferHandle;
      const x = track(await backend.upload(sample));
      const upload = async (values: Float32Array) => track(await backend.upload(tensor('f32', [values.length], values)));
      const inverse = await upload(factors.map((factor) => 1 / factor));
      const smooth = track(backend.run(scaleMatrix, { w: x, columnFactors: inverse }, {}).y);
      const columnFactors = await upload(factors);
      const scaled = track(backend.run(scaleMatrix, { w, columnFactors }, {}).y);
      const rounded = track(await fakeQuantizeWeight(backend, scaled, scheme, { calibrator }));
      const exact = track(backend.run(linear, { x, w }, {}).y);
      const inputs = track(roundInputs(backend, smooth, activation));
      const approximate = track(backend.run(linear, { x: inputs, w: rounded }, {}).y);
      const zero = track(await backend.upload(tensor('f32', exact.shape)));
      const sums = [approximate, zero].map((b) => track(backend.run(squaredErrors, { a: exact, b }, {}).sums));
      const [errors, powers] = await Promise.all(sums.map((handle) => backend.download(handle)));
      error += total(errors);
      power += total(powers);
    });
  }
  return power > 0 ? error / power : 0;
}

/** A static scale is not known yet: it will be that of the largest value, as a dynamic scale of the whole tensor is. */
function roundInputs(backend: Backend, x: BufferHandle, scheme: ActivationScheme): BufferHandle {
  return roundActivations(backend, x, { scheme: { ...scheme, dynamic: true } });
}

function total({ data }: Tensor): number {
  return (data as Float64Array).reduce((sum, value) => sum + value, 0);
}
