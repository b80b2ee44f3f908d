import { high, sum2 } from './lanes';

/** Mean, Σ (x − mean)², ³ and ⁴ of each row in f64 (two passes), and its smallest and largest value. */
export function rowStatistics(rows: i32, x: usize, moments: usize, ranges: usize, columns: i32): void {
  const whole = columns & ~3;
  for (let r = 0; r < rows; r++) {
    const row = x + ((<usize>r * <usize>columns) << 2);
    let low4 = f32x4.splat(Infinity);
    let high4 = f32x4.splat(-Infinity);
    let even = f64x2.splat(0);
    let odd = f64x2.splat(0);
    for (let c = 0; c < whole; c += 4) {
      const value = v128.load(row + ((<usize>c) << 2));
      low4 = f32x4.min(low4, value);
      high4 = f32x4.max(high4, value);
      even = f64x2.add(even, f64x2.promote_low_f32x4(value));
      odd = f64x2.add(odd, f64x2.promote_low_f32x4(high(value)));
    }
    let least = min<f32>(
      min<f32>(f32x4.extract_lane(low4, 0), f32x4.extract_lane(low4, 1)),
      min<f32>(f32x4.extract_lane(low4, 2), f32x4.extract_lane(low4, 3)),
    );
    let most = max<f32>(
      max<f32>(f32x4.extract_lane(high4, 0), f32x4.extract_lane(high4, 1)),
      max<f32>(f32x4.extract_lane(high4, 2), f32x4.extract_lane(high4, 3)),
    );
    let sum = sum2(f64x2.add(even, odd));
    for (let c = whole; c < columns; c++) {
      const value = load<f32>(row + ((<usize>c) << 2));
      least = min<f32>(least, value);
      most = max<f32>(most, value);
      sum += <f64>value;
    }
    const mean = columns > 0 ? sum / <f64>columns : 0;
    store<f32>(ranges + ((<usize>r) << 3), least);
    store<f32>(ranges + ((<usize>r) << 3), most, 4);
    centralMoments(row, columns, mean, moments + ((<usize>r) << 5));
  }
}

function centralMoments(row: usize, columns: i32, mean: f64, out: usize): void {
  const whole = columns & ~3;
  const centre = f64x2.splat(mean);
  let second = f64x2.splat(0);
  let third = f64x2.splat(0);
  let fourth = f64x2.splat(0);
  for (let c = 0; c < whole; c += 4) {
    const value = v128.load(row + ((<usize>c) << 2));
    const a = f64x2.sub(f64x2.promote_low_f32x4(value), centre);
    const b = f64x2.sub(f64x2.promote_low_f32x4(high(value)), centre);
    const aa = f64x2.mul(a, a);
    const bb = f64x2.mul(b, b);
    second = f64x2.add(second, f64x2.add(aa, bb));
    third = f64x2.add(third, f64x2.add(f64x2.mul(aa, a), f64x2.mul(bb, b)));
    fourth = f64x2.add(fourth, f64x2.add(f64x2.mul(aa, aa), f64x2.mul(bb, bb)));
  }
  let m2 = sum2(second);
  let m3 = sum2(third);
  let m4 = sum2(fourth);
  for (let c = whole; c < columns; c++) {
    const d = <f64>load<f32>(row + ((<usize>c) << 2)) - mean;
    m2 += d * d;
    m3 += d * d * d;
    m4 += d * d * (d * d);
  }
  store<f64>(out, mean);
  store<f64>(out, m2, 8);
  store<f64>(out, m3, 16);
  store<f64>(out, m4, 24);
}
