/** Inner size of a packed panel. */
const DEPTH: i32 = 256;
const panelB = memory.data(8192, 16); // DEPTH × 4 f64
const panelA = memory.data(8192, 16); // DEPTH × 4 f64
const edge = memory.data(32, 16); // a row of a tile that is not full

/** The f64 form of {@link gemmF32}, in tiles of 4 × 4. */
export function gemmF64(
  m: i32,
  n: i32,
  k: i32,
  a: usize,
  aRow: usize,
  aColumn: usize,
  b: usize,
  bRow: usize,
  bColumn: usize,
  y: usize,
  alpha: f64,
): void {
  for (let p0: i32 = 0; p0 < k; p0 += DEPTH) {
    const depth = min(DEPTH, k - p0);
    for (let j: i32 = 0; j < n; j += 4) {
      const columns = min(4, n - j);
      pack(panelB, b + ((<usize>p0 * bRow + <usize>j * bColumn) << 3), bRow, bColumn, depth, columns, 1);
      for (let i: i32 = 0; i < m; i += 4) {
        const rows = min(4, m - i);
        pack(panelA, a + ((<usize>i * aRow + <usize>p0 * aColumn) << 3), aColumn, aRow, depth, rows, alpha);
        tile(depth, y + ((<usize>i * n + j) << 3), (<usize>n) << 3, rows, columns);
      }
    }
  }
}

function pack(target: usize, source: usize, stepRow: usize, stepColumn: usize, depth: i32, width: i32, factor: f64): void {
  for (let p: i32 = 0; p < depth; p++, target += 32)
    for (let j: i32 = 0; j < 4; j++) {
      const at = source + ((<usize>p * stepRow + <usize>j * stepColumn) << 3);
      store<f64>(target + ((<usize>j) << 3), j < width ? factor * load<f64>(at) : 0);
    }
}

function tile(depth: i32, y: usize, stride: usize, rows: i32, columns: i32): void {
  let c00 = f64x2.splat(0);
  let c01 = f64x2.splat(0);
  let c10 = f64x2.splat(0);
  let c11 = f64x2.splat(0);
  let c20 = f64x2.splat(0);
  let c21 = f64x2.splat(0);
  let c30 = f64x2.splat(0);
  let c31 = f64x2.splat(0);
  for (let p: i32 = 0; p < depth; p++) {
    const at = (<usize>p) << 5;
    const b0 = v128.load(panelB + at);
    const b1 = v128.load(panelB + at, 16);
    const a0 = v128.load64_splat(panelA + at);
    c00 = f64x2.add(c00, f64x2.mul(a0, b0));
    c01 = f64x2.add(c01, f64x2.mul(a0, b1));
    const a1 = v128.load64_splat(panelA + at, 8);
    c10 = f64x2.add(c10, f64x2.mul(a1, b0));
    c11 = f64x2.add(c11, f64x2.mul(a1, b1));
    const a2 = v128.load64_splat(panelA + at, 16);
    c20 = f64x2.add(c20, f64x2.mul(a2, b0));
    c21 = f64x2.add(c21, f64x2.mul(a2, b1));
    const a3 = v128.load64_splat(panelA + at, 24);
    c30 = f64x2.add(c30, f64x2.mul(a3, b0));
    c31 = f64x2.add(c31, f64x2.mul(a3, b1));
  }
  put(y, c00, c01, columns);
  if (rows > 1) put(y + stride, c10, c11, columns);
  if (rows > 2) put(y + 2 * stride, c20, c21, columns);
  if (rows > 3) put(y + 3 * stride, c30, c31, columns);
}

function put(y: usize, low: v128, high: v128, columns: i32): void {
  if (columns == 4) {
    v128.store(y, f64x2.add(v128.load(y), low));
    v128.store(y, f64x2.add(v128.load(y, 16), high), 16);
    return;
  }
  v128.store(edge, low);
  v128.store(edge, high, 16);
  for (let j: i32 = 0; j < columns; j++)
    store<f64>(y + ((<usize>j) << 3), load<f64>(y + ((<usize>j) << 3)) + load<f64>(edge + ((<usize>j) << 3)));
}
