import { createRng, type Kernel, type Tensor, tensor } from '@calibrant/core';

/** One row of the table of backend cases: a kernel on given operands, and how near to the reference its outputs must be. */
export interface BackendCase {
  readonly name: string;
  readonly kernel: Kernel;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly attributes: unknown;
  /**
   * Largest allowed difference, relative to the largest magnitude of the reference output (at least 1e-6), or `exact` for the same bits.
   */
  readonly tolerance: number | 'exact';
  /** Elements of matrix outputs that are defined; all of them if absent. */
  readonly defined?: (row: number, column: number) => boolean;
}

/** Makes a case of a kernel of any operand names. */
export function backendCase<In extends string, Out extends string, Attributes>(
  kernel: Kernel<In, Out, Attributes>,
  what: string,
  inputs: { readonly [name in In]?: Tensor },
  attributes: Attributes,
  tolerance: number | 'exact',
  defined?: BackendCase['defined'],
): BackendCase {
  const erased = kernel as unknown as Kernel;
  return { name: `${kernel.name}: ${what}`, kernel: erased, inputs: inputs as Record<string, Tensor>, attributes, tolerance, defined };
}

/** Standard normal values from a seed. */
export function normal(shape: readonly number[], seed: number, spread = 1): Tensor {
  const random = createRng(seed);
  const value = tensor('f32', shape);
  for (let i = 0; i < value.data.length; i++) value.data[i] = spread * random.normal();
  return value;
}

/** Whole numbers in `[0, below)`. */
export function integers(dtype: 'i32' | 'u8', shape: readonly number[], seed: number, below: number): Tensor {
  const random = createRng(seed);
  const value = tensor(dtype, shape);
  for (let i = 0; i < value.data.length; i++) value.data[i] = random.integer(below);
  return value;
}
