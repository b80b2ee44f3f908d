const RUN: i32 = 256;
const STRIP: i32 = 256;
/** Columns that use the same piece of x while it is in the cache; divides RUN. */
const BLOCK: i32 = 64;
/** Eight columns of h for a run of rows, `[RUN][8]`. */
const panel = memory.data(RUN * 32, 16);
/** Sums above the diagonal, by panels of eight columns: `[BLOCK / 8][STRIP][8]`. */
const sums = memory.data(BLOCK * STRIP * 4, 16);
/** The last run of each sum, which the diagonal block continues. */
const openRuns = memory.data(BLOCK * STRIP * 4, 16);

export function quadraticForm(rows: i32, x: usize, h: usize, values: usize, n: i32): void {
  memory.fill(values, 0, (<usize>rows) << 3);
  for (let first = 0; first < rows; first += STRIP) {
    const strip = min(STRIP, rows - first);
    const own = x + ((<usize>first * n) << 2);
    for (let block = 0; block < n; block += BLOCK) {
      const end = min(block + BLOCK, n);
      memory.fill(sums, 0, BLOCK * STRIP * 4);
      for (let start = 0; start < end; start += RUN)
        for (let j = max(block, start + 8); j < end; j += 8) addRun(own, h, strip, start, j, (j - block) * STRIP * 4, n);
      for (let j = block; j < end; j += 8) finishColumns(own, h, values + ((<usize>first) << 3), strip, j, (j - block) * STRIP * 4, n);
    }
  }
}

/** Adds the rows `[start, start + RUN)` of h, as far as they lie above row j, to the sums of columns `[j, j + 8)`. */
function addRun(x: usize, h: usize, strip: i32, start: i32, j: i32, offset: usize, n: i32): void {
  const depth = min(RUN, j - start);
  packPanel(h + ((<usize>start * n + j) << 2), depth, min(8, n - j), (<usize>n) << 2);
  // Since 8 divides the length of runs, only a last run reaches into the diagonal block.
  const open = start + RUN > j;
  for (let r = 0; r < strip; r += 4) {
    const from = x + ((<usize>r * n + start) << 2);
    const count = min(4, strip - r);
    const sum = sums + offset + ((<usize>r) << 5);
    if (count == 4) runFour(from, (<usize>n) << 2, sum, depth, open);
    else for (let s = 0; s < count; s++) runOne(from + ((<usize>s * n) << 2), sum + ((<usize>s) << 5), depth, open);
  }
}

/** Completes the last runs with the rows of the diagonal block, and adds the terms of columns `[j, j + 8)` to the values. */
function finishColumns(x: usize, h: usize, values: usize, strip: i32, j: i32, offset: usize, n: i32): void {
  const width = min(8, n - j);
  const continued = j % RUN != 0;
  for (let r = 0; r < strip; r++) {
    const row = x + ((<usize>r * n) << 2);
    const at = offset + ((<usize>r) << 5);
    const value = values + ((<usize>r) << 3);
    let total = load<f64>(value);
    for (let c = 0; c < width; c++) {
      const column = j + c;
      let above = load<f32>(sums + at + ((<usize>c) << 2));
      let run: f32 = continued ? load<f32>(openRuns + at + ((<usize>c) << 2)) : 0;
      for (let i = j; i < column; i++) run += load<f32>(row + ((<usize>i) << 2)) * load<f32>(h + ((<usize>i * n + column) << 2));
      above += run;
      const own = load<f32>(row + ((<usize>column) << 2));
      total += <f64>own * (2 * <f64>above + <f64>load<f32>(h + ((<usize>column * n + column) << 2)) * <f64>own);
    }
    store<f64>(value, total);
  }
}

function packPanel(from: usize, depth: i32, width: i32, stride: usize): void {
  for (let k = 0, to = panel; k < depth; k++, from += stride, to += 32) {
    if (width == 8) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
    } else for (let c = 0; c < width; c++) store<f32>(to + ((<usize>c) << 2), load<f32>(from + ((<usize>c) << 2)));
  }
}

function closeRun(sum: usize, a: v128, b: v128, open: bool): void {
  if (open) {
    v128.store(openRuns + (sum - sums), a);
    v128.store(openRuns + (sum - sums), b, 16);
  } else {
    v128.store(sum, f32x4.add(v128.load(sum), a));
    v128.store(sum, f32x4.add(v128.load(sum, 16), b), 16);
  }
}

function runFour(x: usize, stride: usize, sum: usize, depth: i32, open: bool): void {
  const x1 = x + stride;
  const x2 = x1 + stride;
  const x3 = x2 + stride;
  let a0 = f32x4.splat(0),
    a1 = a0,
    a2 = a0,
    a3 = a0;
  let b0 = a0,
    b1 = a0,
    b2 = a0,
    b3 = a0;
  let from = panel;
  for (let k: usize = 0; k < (<usize>depth) << 2; k += 4, from += 32) {
    const p = v128.load(from);
    const q = v128.load(from, 16);
    const f0 = v128.load32_splat(x + k);
    a0 = f32x4.add(a0, f32x4.mul(f0, p));
    b0 = f32x4.add(b0, f32x4.mul(f0, q));
    const f1 = v128.load32_splat(x1 + k);
    a1 = f32x4.add(a1, f32x4.mul(f1, p));
    b1 = f32x4.add(b1, f32x4.mul(f1, q));
    const f2 = v128.load32_splat(x2 + k);
    a2 = f32x4.add(a2, f32x4.mul(f2, p));
    b2 = f32x4.add(b2, f32x4.mul(f2, q));
    const f3 = v128.load32_splat(x3 + k);
    a3 = f32x4.add(a3, f32x4.mul(f3, p));
    b3 = f32x4.add(b3, f32x4.mul(f3, q));
  }
  closeRun(sum, a0, b0, open);
  closeRun(sum + 32, a1, b1, open);
  closeRun(sum + 64, a2, b2, open);
  closeRun(sum + 96, a3, b3, open);
}

function runOne(x: usize, sum: usize, depth: i32, open: bool): void {
  let a = f32x4.splat(0),
    b = a;
  let from = panel;
  for (let k = 0; k < depth; k++, x += 4, from += 32) {
    const f = v128.load32_splat(x);
    a = f32x4.add(a, f32x4.mul(f, v128.load(from)));
    b = f32x4.add(b, f32x4.mul(f, v128.load(from, 16)));
  }
  closeRun(sum, a, b, open);
}
