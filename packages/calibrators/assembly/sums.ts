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

/** `errors[r] = Σ w[c] (y − x)²` and `norms[r] = Σ w[c] x²` in the order of the columns, f64; w is 1 where the pointer is 0. */
export function weightedError(rows: i32, x: usize, y: usize, importance: usize, errors: usize, norms: usize, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    const start = (<usize>r * <usize>columns) << 2;
    // Lane 0 holds the error, lane 1 the norm.
    let sums = f64x2.splat(0);
    for (let c = 0; c < columns; c++) {
      const at = start + ((<usize>c) << 2);
      const value = <f64>load<f32>(x + at);
      const off = <f64>load<f32>(y + at) - value;
      const both = f64x2.replace_lane(f64x2.splat(off), 1, value);
      const weight: f64 = importance == 0 ? 1 : <f64>load<f32>(importance + ((<usize>c) << 2));
      sums = f64x2.add(sums, f64x2.mul(f64x2.splat(weight), f64x2.mul(both, both)));
    }
    store<f64>(errors + ((<usize>r) << 3), f64x2.extract_lane(sums, 0));
    store<f64>(norms + ((<usize>r) << 3), f64x2.extract_lane(sums, 1));
  }
}
