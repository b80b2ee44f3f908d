/** `peaks = max |x|`, `sums = Σ |x|` per column; sums in f64. */
export function channelMagnitudes(_rows: i32, x: usize, peaks: usize, sums: usize, tokens: i32, columns: i32): void {
  memory.fill(peaks, 0, (<usize>columns) << 2);
  memory.fill(sums, 0, (<usize>columns) << 3);
  for (let t: i32 = 0; t < tokens; t++) {
    const row = x + ((<usize>t * columns) << 2);
    let c: i32 = 0;
    for (; c + 4 <= columns; c += 4) {
      const magnitude = f32x4.abs(v128.load(row + ((<usize>c) << 2)));
      const peak = peaks + ((<usize>c) << 2);
      const sum = sums + ((<usize>c) << 3);
      v128.store(peak, f32x4.pmax(v128.load(peak), magnitude));
      v128.store(sum, f64x2.add(v128.load(sum), f64x2.promote_low_f32x4(magnitude)));
      const upper = i8x16.shuffle(magnitude, magnitude, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
      v128.store(sum, f64x2.add(v128.load(sum, 16), f64x2.promote_low_f32x4(upper)), 16);
    }
    for (; c < columns; c++) {
      const magnitude = abs(load<f32>(row + ((<usize>c) << 2)));
      const peak = peaks + ((<usize>c) << 2);
      const sum = sums + ((<usize>c) << 3);
      if (magnitude > load<f32>(peak)) store<f32>(peak, magnitude);
      store<f64>(sum, load<f64>(sum) + <f64>magnitude);
    }
  }
}

export function scaleMatrix(rows: i32, w: usize, rowFactors: usize, columnFactors: usize, y: usize, columns: i32): void {
  for (let r: i32 = 0; r < rows; r++) {
    const factor = rowFactors ? load<f32>(rowFactors + ((<usize>r) << 2)) : 1;
    const factors = f32x4.splat(factor);
    const row = (<usize>r * columns) << 2;
    let c: i32 = 0;
    for (; c + 4 <= columns; c += 4) {
      const at = (<usize>c) << 2;
      const value = f32x4.mul(v128.load(w + row + at), factors);
      v128.store(y + row + at, columnFactors ? f32x4.mul(value, v128.load(columnFactors + at)) : value);
    }
    for (; c < columns; c++) {
      const at = (<usize>c) << 2;
      const value = load<f32>(w + row + at) * factor;
      store<f32>(y + row + at, columnFactors ? value * load<f32>(columnFactors + at) : value);
    }
  }
}

export function squaredErrors(rows: i32, a: usize, b: usize, sums: usize, columns: i32): void {
  for (let r: i32 = 0; r < rows; r++) {
    const row = (<usize>r * columns) << 2;
    let total = f64x2.splat(0);
    let c: i32 = 0;
    for (; c + 2 <= columns; c += 2) {
      const at = row + ((<usize>c) << 2);
      const difference = f64x2.promote_low_f32x4(f32x4.sub(v128.load64_zero(a + at), v128.load64_zero(b + at)));
      total = f64x2.add(total, f64x2.mul(difference, difference));
    }
    let even = f64x2.extract_lane(total, 0);
    if (c < columns) {
      const at = row + ((<usize>c) << 2);
      const difference = <f64>(load<f32>(a + at) - load<f32>(b + at));
      even += difference * difference;
    }
    store<f64>(sums + ((<usize>r) << 3), even + f64x2.extract_lane(total, 1));
  }
}
