import { elementCount, type TensorSpec } from '@calibrant/core';
import type { NativeVariant } from '../dispatch.js';
import { uniformWords } from './linear-index.js';

/** Invocations per run of values: few, since there are as many runs as tokens. */
const THREADS = 64;

type Specs = Partial<Record<string, TensorSpec>>;

const runs = (specs: Specs): { width: number; count: number } => {
  const width = (specs['weight'] as TensorSpec).shape[0];
  return { width, count: elementCount((specs['x'] as TensorSpec).shape) / width };
};

/** core.rmsNorm: one workgroup per run of `weight.length` values, partial sums in f32. */
export const rmsNorm: NativeVariant = {
  accepts: (specs) => Object.values(specs).every((spec) => spec?.dtype === 'f32'),
  code: () => `struct Call { width: u32, count: u32, eps: f32, offset: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> call: Call;
var<workgroup> sums: array<f32, ${THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
  let run = group.y * groups.x + group.x;
  if (run >= call.count) { return; }
  let start = run * call.width;
  var sum = 0.0;
  for (var i = local; i < call.width; i += ${THREADS}u) { let value = x[start + i]; sum += value * value; }
  sums[local] = sum;
  workgroupBarrier();
  for (var half = ${THREADS / 2}u; half > 0u; half /= 2u) {
    if (local < half) { sums[local] += sums[local + half]; }
    workgroupBarrier();
  }
  let factor = 1.0 / sqrt(sums[0] / f32(call.width) + call.eps);
  for (var i = local; i < call.width; i += ${THREADS}u) { y[start + i] = x[start + i] * factor * (weight[i] + call.offset); }
}`,
  workgroups(specs) {
    const { count } = runs(specs);
    const x = Math.min(count, 65535);
    return [Math.max(1, x), Math.max(1, Math.ceil(count / Math.max(1, x))), 1];
  },
  uniforms(specs, attributes) {
    const { width, count } = runs(specs);
    const { eps, offset = 0 } = attributes as { eps: number; offset?: number };
    return uniformWords([width, count], [eps, offset]);
  },
};
