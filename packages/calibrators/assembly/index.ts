/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

/** `sums[c] = Σ x[r, c]²` over the rows in order, f64. */
export function sumSquares(_rows: i32, x: usize, sums: usize, rows: i32, columns: i32): void {
  memory.fill(sums, 0, (<usize>columns) << 3);
  const whole = columns & ~3;
  for (let r = 0; r < rows; r++) {
    const row = x + ((<usize>r * <usize>columns) << 2);
    for (let c = 0; c < whole; c += 4) {
      const values = v128.load(row + ((<usize>c) << 2));
      const low = f64x2.promote_low_f32x4(values);
      const high = f64x2.promote_low_f32x4(i8x16.shuffle(values, values, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
      const out = sums + ((<usize>c) << 3);
      v128.store(out, f64x2.add(v128.load(out), f64x2.mul(low, low)));
      v128.store(out, f64x2.add(v128.load(out, 16), f64x2.mul(high, high)), 16);
    }
    for (let c = whole; c < columns; c++) {
      const value = <f64>load<f32>(row + ((<usize>c) << 2));
      const out = sums + ((<usize>c) << 3);
      store<f64>(out, load<f64>(out) + value * value);
    }
  }
}
