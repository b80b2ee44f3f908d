import type { Kernel, TensorSpec } from '@calibrant/core';
import * as core from '@calibrant/core';

/** The WebAssembly function of a core kernel for given operands. */
export interface CoreCall {
  readonly function: string;
  readonly scalars: readonly number[];
}

type Choose = (specs: Readonly<Record<string, TensorSpec>>, attributes: any) => CoreCall | undefined;

/** The kernels of `@calibrant/core`, whose references every lane can run. */
export const CORE_KERNELS: readonly Kernel<any, any, any>[] = Object.values(core).filter(
  (value): value is Kernel<any, any, any> => typeof value === 'object' && 'reference' in value && 'infer' in value,
);

/** SIMD functions for the kernels of `@calibrant/core`. Undefined where a case has none and the reference runs. */
export const CORE_VARIANTS: Readonly<Record<string, Choose>> = {};
