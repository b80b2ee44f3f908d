import {
  type AffineTensor,
  type Backend,
  type BufferHandle,
  dequantizeAffine,
  type Observations,
  type PlannedTensor,
  type QuantizedLayer,
  type Quantizer,
  type RunOptions,
  schemeGroupSize,
  tensor,
  withBuffers,
} from '@calibrant/core';

/** Runs the quantizer on one linear layer. */
export function quantizeLinear(
  quantizer: Quantizer,
  options: unknown,
  planned: PlannedTensor,
  weight: BufferHandle,
  observations: Observations | undefined,
  backend: Backend,
  { onEvent, signal }: RunOptions,
): Promise<QuantizedLayer> {
  if (planned.scheme.kind !== 'affine') throw new TypeError(`${planned.name} is not planned on an integer grid`);
  const name = planned.source ?? planned.name;
  const layer = { name, weight, scheme: planned.scheme, ...(observations ? { observations } : {}) };
  const warn = (warning: string) => onEvent?.({ warning, item: name });
  return quantizer.quantize(layer, options, { backend, warn, ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) });
}

/** The weights that the codes stand for, f32 `[out, in]`, visible to all lanes. */
export function dequantize(
  { codes, shape, scales, zeroPoints, scheme, groupIndex }: AffineTensor,
  backend: Backend,
): Promise<BufferHandle> {
  // One scale per tensor is the same grid on every row.
  const spread = (value: typeof scales) => {
    if (value.shape[0] === shape[0]) return value;
    const wide = tensor(value.dtype, [shape[0], 1]);
    wide.data.fill(value.data[0] as never);
    return wide;
  };
  return withBuffers(backend, async (track) => {
    const index = groupIndex ? track(await backend.upload(tensor('i32', [groupIndex.length], groupIndex))) : undefined;
    const inputs = {
      codes: track(await backend.upload(tensor('u8', shape, codes))),
      scales: track(await backend.upload(spread(scales))),
      zeroPoints: track(await backend.upload(spread(zeroPoints))),
      ...(index ? { groupIndex: index } : {}),
    };
    return backend.run(dequantizeAffine, inputs, { groupSize: schemeGroupSize(scheme, shape[1]) }).w;
  });
}
