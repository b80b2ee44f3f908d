import { high } from './lanes';

/**
 * Largest |x|, Σ x and Σ x² (f64, rows in order) and how often |x| reaches the threshold, for each column. Eight columns at a time stay in registers while
 * all rows pass.
 */
export function channelStatistics(
  _rows: i32,
  x: usize,
  absMax: usize,
  sums: usize,
  squares: usize,
  above: usize,
  rows: i32,
  columns: i32,
  threshold: f32,
): void {
  const whole = columns & ~7;
  const stride = (<usize>columns) << 2;
  const limit = f32x4.splat(threshold);
  for (let c = 0; c < whole; c += 8) {
    let max0 = f32x4.splat(0);
    let max1 = f32x4.splat(0);
    let sum0 = f64x2.splat(0);
    let sum1 = f64x2.splat(0);
    let sum2 = f64x2.splat(0);
    let sum3 = f64x2.splat(0);
    let square0 = f64x2.splat(0);
    let square1 = f64x2.splat(0);
    let square2 = f64x2.splat(0);
    let square3 = f64x2.splat(0);
    let count0 = i32x4.splat(0);
    let count1 = i32x4.splat(0);
    let at = x + ((<usize>c) << 2);
    for (let r = 0; r < rows; r++, at += stride) {
      const a = v128.load(at);
      const b = v128.load(at, 16);
      const sizeA = f32x4.abs(a);
      const sizeB = f32x4.abs(b);
      max0 = f32x4.max(max0, sizeA);
      max1 = f32x4.max(max1, sizeB);
      count0 = i32x4.sub(count0, f32x4.ge(sizeA, limit));
      count1 = i32x4.sub(count1, f32x4.ge(sizeB, limit));
      const a0 = f64x2.promote_low_f32x4(a);
      const a1 = f64x2.promote_low_f32x4(high(a));
      const b0 = f64x2.promote_low_f32x4(b);
      const b1 = f64x2.promote_low_f32x4(high(b));
      sum0 = f64x2.add(sum0, a0);
      sum1 = f64x2.add(sum1, a1);
      sum2 = f64x2.add(sum2, b0);
      sum3 = f64x2.add(sum3, b1);
      square0 = f64x2.add(square0, f64x2.mul(a0, a0));
      square1 = f64x2.add(square1, f64x2.mul(a1, a1));
      square2 = f64x2.add(square2, f64x2.mul(b0, b0));
      square3 = f64x2.add(square3, f64x2.mul(b1, b1));
    }
    const four = (<usize>c) << 2;
    const eight = (<usize>c) << 3;
    v128.store(absMax + four, max0);
    v128.store(absMax + four, max1, 16);
    v128.store(above + four, count0);
    v128.store(above + four, count1, 16);
    v128.store(sums + eight, sum0);
    v128.store(sums + eight, sum1, 16);
    v128.store(sums + eight, sum2, 32);
    v128.store(sums + eight, sum3, 48);
    v128.store(squares + eight, square0);
    v128.store(squares + eight, square1, 16);
    v128.store(squares + eight, square2, 32);
    v128.store(squares + eight, square3, 48);
  }
  for (let c = whole; c < columns; c++) {
    let largest: f32 = 0;
    let total: f64 = 0;
    let square: f64 = 0;
    let count = 0;
    let at = x + ((<usize>c) << 2);
    for (let r = 0; r < rows; r++, at += stride) {
      const value = load<f32>(at);
      largest = max<f32>(largest, abs<f32>(value));
      total += <f64>value;
      square += <f64>value * <f64>value;
      if (abs<f32>(value) >= threshold) count++;
    }
    store<f32>(absMax + ((<usize>c) << 2), largest);
    store<f64>(sums + ((<usize>c) << 3), total);
    store<f64>(squares + ((<usize>c) << 3), square);
    store<i32>(above + ((<usize>c) << 2), count);
  }
}
