import {
  type AffineTensor,
  type Backend,
  type BlockTensor,
  type BoundCalibrator,
  type BufferHandle,
  type Observations,
  type PlannedTensor,
  type QuantizedLayer,
  type Quantizer,
  type RunOptions,
  tensor,
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
  { onEvent, signal, calibrator }: RunOptions & { readonly calibrator?: BoundCalibrator | undefined },
): Promise<QuantizedLayer<AffineTensor | BlockTensor>> {
  const name = planned.source ?? planned.name;
  const layer = { name, weight, ...(observations ? { observations } : {}) };
  const warn = (warning: string) => onEvent?.({ warning, item: name });
  const context = { backend, warn, ...(calibrator ? { calibrator } : {}), ...(onEvent ? { onEvent } : {}), ...(signal ? { signal } : {}) };
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
