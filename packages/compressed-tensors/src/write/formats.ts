import type { ActivationScheme, TensorScheme } from '@calibrant/core';

/** The layouts of compressed-tensors that are written, by the names of its `format`. */
export type LayoutName = 'pack-quantized' | 'int-quantized' | 'float-quantized' | 'naive-quantized';

/**
 * The layout of a weight as the library itself chooses it: 8-bit integers stay whole where the inputs are integers too, 8-bit floats are `float-quantized` with
 * quantized inputs and `naive-quantized` without; all other integers are packed.
 */
export function layoutName(scheme: TensorScheme, activations: ActivationScheme | undefined): LayoutName {
  if (scheme.kind === 'minifloat') return activations ? 'float-quantized' : 'naive-quantized';
  const whole = scheme.kind === 'affine' && scheme.bits === 8 && scheme.granularity !== 'group';
  return whole && activations?.type === 'int' && activations.bits === 8 ? 'int-quantized' : 'pack-quantized';
}
