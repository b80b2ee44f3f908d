import { type ActivationKind, elementCount, type TensorSpec } from '@calibrant/core';
import type { NativeVariant } from '../dispatch.js';
import { LINEAR_MAIN, linearGroups, uniformWords } from './linear-index.js';

type Specs = Partial<Record<string, TensorSpec>>;

const isF32 = (specs: Specs): boolean => Object.values(specs).every((spec) => spec?.dtype === 'f32');
const countOf = (specs: Specs, name: string): number => elementCount((specs[name] as TensorSpec).shape);

/** `gelu` by erfc's Chebyshev fit (Press et al., Numerical Recipes, §6.2; relative error below 1.2e-7), since WGSL has no erf. */
const ACTIVATIONS: Readonly<Record<ActivationKind, string>> = {
  silu: 'return x / (1.0 + exp(-x));',
  relu: 'return max(0.0, x);',
  // WGSL's tanh may overflow inside; beyond 10 it is 1 in f32.
  geluTanh: 'return 0.5 * x * (1.0 + tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -10.0, 10.0)));',
  gelu: `let z = abs(x) * 0.7071067812;
  let t = 1.0 / (1.0 + 0.5 * z);
  let p = -z * z - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
    t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let erfc = t * exp(p);
  return 0.5 * x * select(erfc, 2.0 - erfc, x >= 0.0);`,
};

/** core.activation */
export const activation: NativeVariant = {
  accepts: isF32,
  code(specs, attributes) {
    const gated = specs['up'] !== undefined;
    return `@group(0) @binding(0) var<storage, read> x: array<f32>;
${gated ? '@group(0) @binding(1) var<storage, read> up: array<f32>;' : ''}
@group(0) @binding(${gated ? 2 : 1}) var<storage, read_write> y: array<f32>;
@group(0) @binding(${gated ? 3 : 2}) var<uniform> size: vec4u;
fn f(x: f32) -> f32 {
  ${ACTIVATIONS[(attributes as { kind: ActivationKind }).kind]}
}
${LINEAR_MAIN}
  if (i < size.x) { y[i] = f(x[i])${gated ? ' * up[i]' : ''}; }
}`;
  },
  workgroups: (specs) => linearGroups(countOf(specs, 'x')),
  uniforms: (specs) => uniformWords([countOf(specs, 'x')]),
};

const ADD_HEAD = 'struct Call { size: u32, factor: f32, zero: u32 }';

/**
 * core.add. The product is rounded before it is added, as in the reference: a driver may fuse `a + factor * b` into one rounding, but not
 * through bits that it learns when the kernel runs.
 */
export const add: NativeVariant = {
  accepts: isF32,
  code: () => `${ADD_HEAD}
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> call: Call;
${LINEAR_MAIN}
  if (i < call.size) { y[i] = a[i] + bitcast<f32>(bitcast<u32>(call.factor * b[i]) ^ call.zero); }
}`,
  workgroups: (specs) => linearGroups(countOf(specs, 'a')),
  uniforms: (specs, attributes) => uniformWords([countOf(specs, 'a')], [(attributes as { scale?: number }).scale ?? 1]),
};

/** core.scale */
export const scale: NativeVariant = {
  accepts: isF32,
  code: () => `${ADD_HEAD}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> call: Call;
${LINEAR_MAIN}
  if (i < call.size) { y[i] = call.factor * x[i]; }
}`,
  workgroups: (specs) => linearGroups(countOf(specs, 'x')),
  uniforms: (specs, attributes) => uniformWords([countOf(specs, 'x')], [(attributes as { scale: number }).scale]),
};
