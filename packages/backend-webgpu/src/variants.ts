import type { Kernel, TensorSpec } from '@calibrant/core';
import type { NativeVariant } from './dispatch.js';
import * as affine from './gpujs/affine.js';
import type { GpuJsVariantWithFunctions } from './gpujs/runner.js';
import * as elementwise from './wgsl/elementwise.js';
import { matmulVariants } from './wgsl/matmul.js';
import { rmsNorm } from './wgsl/norms.js';

/** How a call runs here. */
export type Choice =
  | { readonly kind: 'native' | 'wgsl'; readonly variant: Omit<NativeVariant, 'accepts'> }
  | { readonly kind: 'gpujs'; readonly variant: GpuJsVariantWithFunctions<string, string, unknown> }
  | { readonly kind: 'reference' };

export interface Variants {
  choose(kernel: Kernel, specs: Partial<Record<string, TensorSpec>>, attributes: unknown): Choice;
  /** What the kernel runs by on the types that it is made for. */
  usual(kernel: Kernel): Choice['kind'];
}

/** Our own variants of core's kernels first, then what the kernel brings, then its reference on the host. */
export function createVariants(limits: { maxComputeWorkgroupStorageSize: number }): Variants {
  const { matmul, linear, gram } = matmulVariants(limits);
  const native: Readonly<Record<string, NativeVariant | undefined>> = {
    'core.matmul': matmul,
    'core.linear': linear,
    'core.gram': gram,
    'core.add': elementwise.add,
    'core.scale': elementwise.scale,
    'core.activation': elementwise.activation,
    'core.rmsNorm': rmsNorm,
  };
  const gpujs: Readonly<Record<string, GpuJsVariantWithFunctions<string, string, unknown> | undefined>> = {
    'core.fitAffine': affine.fitAffine as unknown as GpuJsVariantWithFunctions<string, string, unknown>,
    'core.roundAffine': affine.roundAffine as unknown as GpuJsVariantWithFunctions<string, string, unknown>,
    'core.dequantizeAffine': affine.dequantizeAffine as unknown as GpuJsVariantWithFunctions<string, string, unknown>,
  };
  const withoutNative = (kernel: Kernel): Choice => {
    if (kernel.wgsl) return { kind: 'wgsl', variant: kernel.wgsl };
    const variant = gpujs[kernel.name] ?? kernel.gpujs;
    return variant ? { kind: 'gpujs', variant } : { kind: 'reference' };
  };
  return {
    choose(kernel, specs, attributes) {
      const own = native[kernel.name];
      return own?.accepts(specs, attributes) ? { kind: 'native', variant: own } : withoutNative(kernel);
    },
    usual: (kernel) => (native[kernel.name] ? 'native' : withoutNative(kernel).kind),
  };
}
