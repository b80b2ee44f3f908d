/** y = a + factor · b, the product rounded first. */
export function add(rows: i32, a: usize, b: usize, y: usize, columns: i32, factor: f32): void {
  const bytes = (<usize>rows * <usize>columns) << 2;
  const factors = f32x4.splat(factor);
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(y + at, f32x4.add(v128.load(a + at), f32x4.mul(factors, v128.load(b + at))));
  for (; at < bytes; at += 4) store<f32>(y + at, load<f32>(a + at) + factor * load<f32>(b + at));
}

/** y = factor · x */
export function scale(rows: i32, x: usize, y: usize, columns: i32, factor: f32): void {
  const bytes = (<usize>rows * <usize>columns) << 2;
  const factors = f32x4.splat(factor);
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(y + at, f32x4.mul(factors, v128.load(x + at)));
  for (; at < bytes; at += 4) store<f32>(y + at, factor * load<f32>(x + at));
}

/** Rows of a Gram matrix: y = h, plus `product [rows, columns - first]` on the columns from `first` on. */
export function accumulateTriangle(rows: i32, h: usize, product: usize, y: usize, columns: i32, first: i32): void {
  const width = (<usize>(columns - first)) << 2;
  for (let r: i32 = 0; r < rows; r++) {
    const start = (<usize>r * columns) << 2;
    memory.copy(y + start, h + start, (<usize>first) << 2);
    add(1, h + start + ((<usize>first) << 2), product + <usize>r * width, y + start + ((<usize>first) << 2), columns - first, 1);
  }
}
