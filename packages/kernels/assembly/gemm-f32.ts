/** Inner size of a packed panel, so that a panel of b stays in the first cache. */
const DEPTH: i32 = 256;
const panelB = memory.data(8192, 16); // DEPTH × 8 f32
const panelA = memory.data(4096, 16); // DEPTH × 4 f32
const edge = memory.data(32, 16); // a row of a tile that is not full

/**
 * y [m, n] = alpha · op(a) · op(b) + y. Strides are in elements: element (i, p) of op(a) lies at a + i·aRow + p·aColumn, (p, j) of op(b) at
 * b + p·bRow + j·bColumn. Tiles of 4 × 8 in registers over panels of {@link DEPTH}.
 */
export function gemmF32(
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
  alpha: f32,
): void {
  for (let p0: i32 = 0; p0 < k; p0 += DEPTH) {
    const depth = min(DEPTH, k - p0);
    for (let j: i32 = 0; j < n; j += 8) {
      const columns = min(8, n - j);
      packB(b + ((<usize>p0 * bRow + <usize>j * bColumn) << 2), bRow, bColumn, depth, columns);
      for (let i: i32 = 0; i < m; i += 4) {
        const rows = min(4, m - i);
        packA(a + ((<usize>i * aRow + <usize>p0 * aColumn) << 2), aRow, aColumn, depth, rows, alpha);
        tile(depth, y + ((<usize>i * n + j) << 2), (<usize>n) << 2, rows, columns);
      }
    }
  }
}

function packB(b: usize, bRow: usize, bColumn: usize, depth: i32, columns: i32): void {
  for (let p: i32 = 0; p < depth; p++) {
    const source = b + ((<usize>p * bRow) << 2);
    const target = panelB + ((<usize>p) << 5);
    for (let j: i32 = 0; j < 8; j++)
      store<f32>(target + ((<usize>j) << 2), j < columns ? load<f32>(source + ((<usize>j * bColumn) << 2)) : 0);
  }
}

function packA(a: usize, aRow: usize, aColumn: usize, depth: i32, rows: i32, alpha: f32): void {
  for (let p: i32 = 0; p < depth; p++) {
    const source = a + ((<usize>p * aColumn) << 2);
    const target = panelA + ((<usize>p) << 4);
    for (let i: i32 = 0; i < 4; i++)
      store<f32>(target + ((<usize>i) << 2), i < rows ? alpha * load<f32>(source + ((<usize>i * aRow) << 2)) : 0);
  }
}

function tile(depth: i32, y: usize, stride: usize, rows: i32, columns: i32): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  for (let p: i32 = 0; p < depth; p++) {
    const at = (<usize>p) << 4;
    const b0 = v128.load(panelB + (at << 1));
    const b1 = v128.load(panelB + (at << 1), 16);
    const a0 = v128.load32_splat(panelA + at);
    c00 = f32x4.add(c00, f32x4.mul(a0, b0));
    c01 = f32x4.add(c01, f32x4.mul(a0, b1));
    const a1 = v128.load32_splat(panelA + at, 4);
    c10 = f32x4.add(c10, f32x4.mul(a1, b0));
    c11 = f32x4.add(c11, f32x4.mul(a1, b1));
    const a2 = v128.load32_splat(panelA + at, 8);
    c20 = f32x4.add(c20, f32x4.mul(a2, b0));
    c21 = f32x4.add(c21, f32x4.mul(a2, b1));
    const a3 = v128.load32_splat(panelA + at, 12);
    c30 = f32x4.add(c30, f32x4.mul(a3, b0));
    c31 = f32x4.add(c31, f32x4.mul(a3, b1));
  }
  put(y, c00, c01, columns);
  if (rows > 1) put(y + stride, c10, c11, columns);
  if (rows > 2) put(y + 2 * stride, c20, c21, columns);
  if (rows > 3) put(y + 3 * stride, c30, c31, columns);
}

/** Adds up to eight values of a row of the tile. */
function put(y: usize, low: v128, high: v128, columns: i32): void {
  if (columns == 8) {
    v128.store(y, f32x4.add(v128.load(y), low));
    v128.store(y, f32x4.add(v128.load(y, 16), high), 16);
    return;
  }
  v128.store(edge, low);
  v128.store(edge, high, 16);
  for (let j: i32 = 0; j < columns; j++)
    store<f32>(y + ((<usize>j) << 2), load<f32>(y + ((<usize>j) << 2)) + load<f32>(edge + ((<usize>j) << 2)));
}
