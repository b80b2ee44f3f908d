import type { LinearStep, NormStep, WeightRef } from '../../description.js';

export interface LinearPart {
  readonly input: string;
  readonly output: string;
  /** The tensors' name without `.weight` and `.bias`. */
  readonly name: string;
  /** `[out, in]`. */
  readonly shape: readonly [number, number];
  readonly bias?: boolean;
  /** Stored as `[in, out]`. */
  readonly transposed?: boolean;
  readonly decides?: true;
}

/** A linear layer with tensors `name.weight` and `name.bias`. */
export function linear({ input, output, name, shape, bias = false, transposed = false, decides }: LinearPart): LinearStep {
  return {
    op: 'linear',
    input,
    output,
    weight: { name: `${name}.weight`, shape, ...(transposed ? { stored: 'transposed' as const } : {}) },
    ...(bias ? { bias: { name: `${name}.bias`, shape: [shape[0]] } } : {}),
    ...(decides ? { decides } : {}),
  };
}

export interface NormPart {
  readonly input: string;
  readonly output: string;
  readonly name: string;
  readonly width: number;
  readonly eps: number;
}

/** RMS norm with the tensor `name.weight`; `offset` is added to it. */
export function rmsNorm({ input, output, name, width, eps }: NormPart, offset?: number): NormStep {
  return {
    op: 'norm',
    kind: 'rms',
    input,
    output,
    weight: { name: `${name}.weight`, shape: [width] },
    eps,
    ...(offset === undefined ? {} : { offset }),
  };
}

/** Layer norm with tensors `name.weight` and (unless `bias` is false) `name.bias`. */
export function layerNorm({ input, output, name, width, eps }: NormPart, { bias = true }: { bias?: boolean } = {}): NormStep {
  const weight: WeightRef = { name: `${name}.weight`, shape: [width] };
  return { op: 'norm', kind: 'layer', input, output, weight, eps, ...(bias ? { bias: { name: `${name}.bias`, shape: [width] } } : {}) };
}
