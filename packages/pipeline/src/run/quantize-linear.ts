import {
  type AffineTensor,
  type Backend,
  type BlockTensor,
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
import { sortRows } from './ordered-rows.js';

/** Runs the quantizer on one linear layer. */
export async function quantizeLinear(
  quantizer: Quantizer,
  options: unknown,
  planned: PlannedTensor,
  weight: BufferHandle,
  observations: Observations | undefined,
  backend: Backend,
  { onEvent, signal }: RunOptions,
): Promise<QuantizedLayer<AffineTensor | BlockTensor>> {
  const name = planned.source ?? planned.name;
  const layer = { name, weight, ...(observations ? { observations } : {}) };
  const warn = (warning: string) => onEvent?.({ warning, item: name });
  const context = { backend, warn, ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) };
  const { scheme } = planned;
  if (scheme.kind === 'affine') return quantizer.quantize({ ...layer, scheme }, options, context);
  if (scheme.kind === 'block' && quantizer.quantizeBlocks) return quantizer.quantizeBlocks({ ...layer, scheme }, options, context);
  throw new TypeError(`${planned.name} is not planned on a grid that ${quantizer.name} fills`);
}

/** The rows of encoded blocks in the order of the output: rows of a linear layer do not depend on each other, so that they move as they are. */
export function inOutputRows<Coded extends AffineTensor | BlockTensor>(coded: Coded, { shape, rowOrder }: PlannedTensor): Coded {
  if (coded.kind !== 'block') return coded;
  const [rows, rowBytes] = [coded.shape[0], coded.bytes.length / coded.shape[0]];
  const encoded = tensor('u8', [rows, rowBytes], coded.bytes);
  const sorted = rowOrder ? sortRows(encoded, rowOrder, rowBytes) : encoded;
  return { ...coded, shape, bytes: (sorted.data as Uint8Array).subarray(0, shape[0] * rowBytes) };
}

/** The weights that the codes stand for, f32 `[out, in]`, visible to all lanes. */
export async function dequantize(coded: AffineTensor | BlockTensor, backend: Backend): Promise<BufferHandle> {
  if (coded.kind === 'affine') return dequantizeCodes(coded, backend);
  const { scheme, shape, bytes } = coded;
  const blocks = await backend.upload(tensor('u8', [shape[0], bytes.length / shape[0]], bytes));
  const { x } = backend.run(scheme.decode, { blocks }, {});
  backend.free(blocks);
  return x;
}

function dequantizeCodes({ codes, shape, scales, zeroPoints, scheme, groupIndex }: AffineTensor, backend: Backend): Promise<BufferHandle> {
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
