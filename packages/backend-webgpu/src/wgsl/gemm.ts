/** What a GEMM kernel is compiled for; sizes and factors are uniforms. */
export interface GemmShape {
  /** Whether `a` is stored `[k, m]`. */
  readonly transposeA: boolean;
  /** Whether `b` is stored `[n, k]`. */
  readonly transposeB: boolean;
  /** Whether rows of `a`, `b` and `y` are whole vectors of 4, so that they can be read and written so. */
  readonly vectorA: boolean;
  readonly vectorB: boolean;
  readonly vectorY: boolean;
  readonly c: 'none' | 'row' | 'full';
  /** Only tiles that touch the upper triangle are computed; below the diagonal y is `beta · c`. */
  readonly upper: boolean;
  /** Whether workgroup memory allows a padding column, which keeps writes to it free of bank conflicts. */
  readonly padded: boolean;
}

/** Rows and columns of y per workgroup. */
export const TILE = 128;
const DEPTH = 16;
/** Invocations per workgroup: each computes 8 × 8 elements. */
const THREADS = 256;

/** Bytes of workgroup memory that a kernel takes. */
export function gemmWorkgroupBytes(padded: boolean): number {
  return 2 * DEPTH * (TILE / 4 + (padded ? 1 : 0)) * 16;
}

/**
 * WGSL of `y = alpha · op(a) · op(b) + beta · c`, f32 throughout; each element is one chain of fused multiply-adds over k.
 * A workgroup makes a 128 × 128 tile from slices of 16 along k. For each slice one half of its threads loads from a and the other from b,
 * each thread a block of 4 × 4, turned in registers where the matrix is stored the other way round.
 *
 * Bindings: a, b, c (unless `none`), y, uniforms `{ m, n, k: u32, alpha, beta: f32 }`.
 */
export function gemmCode(shape: GemmShape): string {
  const { transposeA, transposeB, vectorA, vectorB, vectorY, c, upper, padded } = shape;
  const stride = TILE / 4 + (padded ? 1 : 0);
  const first = c === 'none' ? 2 : 3;
  const element = (vector: boolean): string => (vector ? 'vec4f' : 'f32');
  return `struct Call { m: u32, n: u32, k: u32, alpha: f32, beta: f32 }
@group(0) @binding(0) var<storage, read> a: array<${element(vectorA)}>;
@group(0) @binding(1) var<storage, read> b: array<${element(vectorB)}>;
${c === 'none' ? '' : `@group(0) @binding(2) var<storage, read> c: array<f32>;`}
@group(0) @binding(${first}) var<storage, read_write> y: array<${element(vectorY)}>;
@group(0) @binding(${first + 1}) var<uniform> call: Call;

var<workgroup> tileA: array<vec4f, ${DEPTH * stride}>;
var<workgroup> tileB: array<vec4f, ${DEPTH * stride}>;

${loader('a', vectorA)}
${loader('b', vectorB)}
${store(shape)}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.y * ${TILE}u;
  let column0 = group.x * ${TILE}u;
  let tx = thread % 16u;
  let ty = thread / 16u;
  var sums: array<vec4f, 16>;
  ${upper ? `if (column0 + ${TILE}u > row0) {` : '{'}
  for (var k0 = 0u; k0 < call.k; k0 += ${DEPTH}u) {
    if (thread < 128u) {
${loadBlock('a', 'tileA', 'thread', 'row0', 'call.m', transposeA, stride)}
    } else {
${loadBlock('b', 'tileB', '(thread - 128u)', 'column0', 'call.n', !transposeB, stride)}
    }
    workgroupBarrier();
    for (var k = 0u; k < ${DEPTH}u; k++) {
      let at = k * ${stride}u;
      let a0 = tileA[at + ty * 2u];
      let a1 = tileA[at + ty * 2u + 1u];
      let b0 = tileB[at + tx];
      let b1 = tileB[at + tx + 16u];
${grid((i, j) => `      sums[${2 * i + j}] = fma(vec4f(a${i >> 2}.${'xyzw'[i % 4]}), b${j}, sums[${2 * i + j}]);`)}
    }
    workgroupBarrier();
  }
  }
  for (var i = 0u; i < 16u; i++) {
    store(row0 + ty * 8u + i / 2u, column0 + tx * 4u + i % 2u * 64u, sums[i]);
  }
}`;
}

function grid(line: (i: number, j: number) => string): string {
  return Array.from({ length: 16 }, (_, index) => line(index >> 1, index & 1)).join('\n');
}

/** `load_x(row, column, rows, columns)`: four elements of a row of the stored matrix, 0 outside of it. */
function loader(name: string, vector: boolean): string {
  const body = vector
    ? `if (row >= rows || column >= columns) { return vec4f(); }
  return ${name}[(row * columns + column) / 4u];`
    : `if (row >= rows) { return vec4f(); }
  let at = row * columns + column;
  var value = vec4f();
  if (column < columns) { value.x = ${name}[at]; }
  if (column + 1u < columns) { value.y = ${name}[at + 1u]; }
  if (column + 2u < columns) { value.z = ${name}[at + 2u]; }
  if (column + 3u < columns) { value.w = ${name}[at + 3u]; }
  return value;`;
  return `fn load_${name}(row: u32, column: u32, rows: u32, columns: u32) -> vec4f {
  ${body}
}`;
}

/** One thread's 4 × 4 block of a slice. `outer` is the dimension that is not k; in the tile a vector holds four neighbours along it. */
function loadBlock(
  name: string,
  tile: string,
  thread: string,
  outer0: string,
  outer: string,
  outerContiguous: boolean,
  stride: number,
): string {
  if (outerContiguous)
    return `      let block = ${thread} % 32u;
      let depth = ${thread} / 32u * 4u;
      let column = ${outer0} + block * 4u;
${[0, 1, 2, 3].map((i) => `      ${tile}[(depth + ${i}u) * ${stride}u + block] = load_${name}(k0 + depth + ${i}u, column, call.k, ${outer});`).join('\n')}`;
  return `      let block = ${thread} / 4u;
      let depth = ${thread} % 4u * 4u;
      let row = ${outer0} + block * 4u;
${[0, 1, 2, 3].map((i) => `      let v${i} = load_${name}(row + ${i}u, k0 + depth, ${outer}, call.k);`).join('\n')}
${[0, 1, 2, 3].map((i) => `      ${tile}[(depth + ${i}u) * ${stride}u + block] = vec4f(v0.${'xyzw'[i]}, v1.${'xyzw'[i]}, v2.${'xyzw'[i]}, v3.${'xyzw'[i]});`).join('\n')}`;
}

function store({ c, upper, vectorY }: GemmShape): string {
  const addend = { none: '0.0', row: 'call.beta * c[column]', full: 'call.beta * c[row * call.n + column]' }[c];
  return `fn element(row: u32, column: u32, sum: f32) -> f32 {
  return ${upper ? 'select(0.0, call.alpha * sum, column >= row)' : 'call.alpha * sum'} + ${addend};
}
fn store(row: u32, column: u32, sum: vec4f) {
  if (row >= call.m) { return; }
${
  vectorY
    ? `  if (column >= call.n) { return; }
  y[(row * call.n + column) / 4u] =
    vec4f(element(row, column, sum.x), element(row, column + 1u, sum.y), element(row, column + 2u, sum.z), element(row, column + 3u, sum.w));`
    : `  let at = row * call.n + column;
  if (column < call.n) { y[at] = element(row, column, sum.x); }
  if (column + 1u < call.n) { y[at + 1u] = element(row, column + 1u, sum.y); }
  if (column + 2u < call.n) { y[at + 2u] = element(row, column + 2u, sum.z); }
  if (column + 3u < call.n) { y[at + 3u] = element(row, column + 3u, sum.w); }`
}
}`;
}
