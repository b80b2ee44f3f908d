import type { GemmShape } from './gemm.js';

/** Rows and columns of y per workgroup. */
export const SMALL_TILE = 16;

/** The product of {@link gemmCode} for matrices with one small side, where a tile of 128 would be mostly empty: 16 × 16 tiles, one element per invocation. */
export function smallGemmCode({ transposeA, transposeB, c, upper }: GemmShape): string {
  const first = c === 'none' ? 2 : 3;
  const addend = { none: '0.0', row: 'call.beta * c[column]', full: 'call.beta * c[row * call.n + column]' }[c];
  return `struct Call { m: u32, n: u32, k: u32, alpha: f32, beta: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
${c === 'none' ? '' : '@group(0) @binding(2) var<storage, read> c: array<f32>;'}
@group(0) @binding(${first}) var<storage, read_write> y: array<f32>;
@group(0) @binding(${first + 1}) var<uniform> call: Call;
var<workgroup> tileA: array<f32, ${SMALL_TILE * SMALL_TILE}>;
var<workgroup> tileB: array<f32, ${SMALL_TILE * SMALL_TILE}>;
@compute @workgroup_size(${SMALL_TILE}, ${SMALL_TILE})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = id.y;
  let column = id.x;
  var sum = 0.0;
  for (var k0 = 0u; k0 < call.k; k0 += ${SMALL_TILE}u) {
    let ka = k0 + local.x;
    let kb = k0 + local.y;
    var va = 0.0;
    var vb = 0.0;
    if (row < call.m && ka < call.k) { va = a[${transposeA ? 'ka * call.m + row' : 'row * call.k + ka'}]; }
    if (column < call.n && kb < call.k) { vb = b[${transposeB ? 'column * call.k + kb' : 'kb * call.n + column'}]; }
    tileA[local.y * ${SMALL_TILE}u + local.x] = va;
    tileB[local.y * ${SMALL_TILE}u + local.x] = vb;
    workgroupBarrier();
    for (var k = 0u; k < ${SMALL_TILE}u; k++) {
      sum = fma(tileA[local.y * ${SMALL_TILE}u + k], tileB[k * ${SMALL_TILE}u + local.x], sum);
    }
    workgroupBarrier();
  }
  if (row < call.m && column < call.n) {
    y[row * call.n + column] = ${upper ? 'select(0.0, call.alpha * sum, column >= row)' : 'call.alpha * sum'} + ${addend};
  }
}`;
}
