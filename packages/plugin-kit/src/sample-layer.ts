import {
  type AffineScheme,
  type AffineTensor,
  affineValues,
  createRng,
  fitAffine,
  roundAffine,
  schemeGroupSize,
  type Tensor,
  tensor,
} from '@calibrant/core';

/** A linear layer with calibration statistics, made from a seed. */
export interface SampleLayer {
  readonly name: string;
  readonly weight: Tensor;
  /** `2/n · XᵀX` f32 `[in, in]`, upper triangle; below it lies NaN, which nobody may read. */
  readonly hessian: Tensor;
  readonly tokens: number;
}

/**
 * Random normal weights, and inputs that are correlated and of unequal size, as in a real network: there a method that uses
 * the Hessian can win, and one that uses it wrongly loses.
 */
export function sampleLayer(rows: number, columns: number, seed: number, fill?: (row: number, column: number) => number): SampleLayer {
  const random = createRng(seed);
  const weight = tensor('f32', [rows, columns]);
  for (let at = 0; at < rows * columns; at++)
    weight.data[at] = fill ? fill(Math.floor(at / columns), at % columns) : random.normal() * 0.05;
  const tokens = 4 * columns + 8;
  const sizes = Array.from({ length: columns }, () => Math.exp(random.normal()));
  const hessian = new Float64Array(columns * columns);
  for (let t = 0; t < tokens; t++) {
    const shared = random.normal();
    const x = sizes.map((size) => size * (random.normal() + shared));
    for (let i = 0; i < columns; i++) for (let j = i; j < columns; j++) hessian[i * columns + j] += (2 / tokens) * x[i] * x[j];
  }
  for (let i = 0; i < columns; i++) hessian.fill(Number.NaN, i * columns, i * columns + i);
  return { name: `blocks.${seed}.linear.weight`, weight, hessian: tensor('f32', [columns, columns], Float32Array.from(hessian)), tokens };
}

/** `trace((W − Q)·H·(W − Q)ᵀ)` in f64: twice the squared error of the layer's outputs, per token. */
export function outputError({ weight, hessian }: SampleLayer, quantized: AffineTensor): number {
  const [rows, n] = weight.shape;
  const values = affineValues(quantized).data;
  let total = 0;
  for (let r = 0; r < rows; r++) {
    const delta = Array.from({ length: n }, (_, c) => Number(weight.data[r * n + c]) - Number(values[r * n + c]));
    for (let i = 0; i < n; i++)
      for (let j = i; j < n; j++) total += (i === j ? 1 : 2) * delta[i] * delta[j] * Number(hessian.data[i * n + j]);
  }
  return total;
}

/** Round-to-nearest by the core's references: what every quantizer is compared with. */
export function roundToNearest(weight: Tensor, scheme: AffineScheme): AffineTensor {
  const [rows, columns] = weight.shape;
  const whole = scheme.granularity === 'tensor';
  const shape = whole ? [1, rows * columns] : weight.shape;
  const w = tensor('f32', shape, weight.data);
  const attributes = { bits: scheme.bits, symmetric: scheme.symmetric, groupSize: schemeGroupSize(scheme, shape[1]) };
  const range = { start: 0, end: shape[0] };
  const grid = fitAffine.reference({ w }, attributes, range);
  const { codes } = roundAffine.reference({ w, ...grid } as Parameters<typeof roundAffine.reference>[0], attributes, range);
  return { kind: 'affine', scheme, shape: weight.shape, codes: codes.data as Uint8Array, ...grid };
}
