import { high } from './lanes';

/** `(x + offset) · rowFactor · columnFactor − offset` in f64, rounded to f32 once. A factor is 1 where its pointer is 0. */
export function scaleChannels(rows: i32, x: usize, rowFactors: usize, columnFactors: usize, y: usize, columns: i32, offset: f64): void {
  const whole = columns & ~3;
  const shift = f64x2.splat(offset);
  for (let r = 0; r < rows; r++) {
    const start = (<usize>r * <usize>columns) << 2;
    const factor: f64 = rowFactors ? load<f64>(rowFactors + ((<usize>r) << 3)) : 1;
    const factors = f64x2.splat(factor);
    for (let c = 0; c < whole; c += 4) {
      const value = v128.load(x + start + ((<usize>c) << 2));
      let a = f64x2.mul(f64x2.add(f64x2.promote_low_f32x4(value), shift), factors);
      let b = f64x2.mul(f64x2.add(f64x2.promote_low_f32x4(high(value)), shift), factors);
      if (columnFactors) {
        a = f64x2.mul(a, v128.load(columnFactors + ((<usize>c) << 3)));
        b = f64x2.mul(b, v128.load(columnFactors + ((<usize>c) << 3), 16));
      }
      const low = f32x4.demote_f64x2_zero(f64x2.sub(a, shift));
      const upper = f32x4.demote_f64x2_zero(f64x2.sub(b, shift));
      v128.store(y + start + ((<usize>c) << 2), i8x16.shuffle(low, upper, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
    }
    for (let c = whole; c < columns; c++) {
      let value = (<f64>load<f32>(x + start + ((<usize>c) << 2)) + offset) * factor;
      if (columnFactors) value *= load<f64>(columnFactors + ((<usize>c) << 3));
      store<f32>(y + start + ((<usize>c) << 2), <f32>(value - offset));
    }
  }
}
