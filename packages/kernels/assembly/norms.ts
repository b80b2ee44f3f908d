/** Σ x² in f64. */
function sumOfSquares(x: usize, width: i32, mean: f64): f64 {
  const center = f64x2.splat(mean);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i: i32 = 0;
  for (; i + 4 <= width; i += 4) {
    const value = v128.load(x + ((<usize>i) << 2));
    const a = f64x2.sub(f64x2.promote_low_f32x4(value), center);
    const b = f64x2.sub(f64x2.promote_low_f32x4(v128.shuffle<i32>(value, value, 2, 3, 2, 3)), center);
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; i < width; i++) {
    const value = <f64>load<f32>(x + ((<usize>i) << 2)) - mean;
    sum += value * value;
  }
  return sum;
}

function sumOf(x: usize, width: i32): f64 {
  let sums = f64x2.splat(0);
  let i: i32 = 0;
  for (; i + 4 <= width; i += 4) {
    const value = v128.load(x + ((<usize>i) << 2));
    sums = f64x2.add(sums, f64x2.promote_low_f32x4(value));
    sums = f64x2.add(sums, f64x2.promote_low_f32x4(v128.shuffle<i32>(value, value, 2, 3, 2, 3)));
  }
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < width; i++) sum += <f64>load<f32>(x + ((<usize>i) << 2));
  return sum;
}

/** y = x / sqrt(mean(x²) + eps) · (weight + offset) per run of `width` values. */
export function rmsNorm(rows: i32, x: usize, weight: usize, y: usize, columns: i32, width: i32, eps: f64, offset: f32): void {
  const runs = width > 0 ? <i64>rows * <i64>(columns / width) : 0;
  const stride = (<usize>width) << 2;
  const offsets = f32x4.splat(offset);
  for (let run: i64 = 0; run < runs; run++, x += stride, y += stride) {
    const factor = <f32>(1 / Math.sqrt(sumOfSquares(x, width, 0) / <f64>width + eps));
    const factors = f32x4.splat(factor);
    let i: i32 = 0;
    for (; i + 4 <= width; i += 4) {
      const at = (<usize>i) << 2;
      v128.store(y + at, f32x4.mul(f32x4.mul(v128.load(x + at), factors), f32x4.add(v128.load(weight + at), offsets)));
    }
    for (; i < width; i++) {
      const at = (<usize>i) << 2;
      store<f32>(y + at, load<f32>(x + at) * factor * (load<f32>(weight + at) + offset));
    }
  }
}

/** y = (x - mean) / sqrt(var + eps) · weight + bias per run of `width` values; bias may be 0. */
export function layerNorm(rows: i32, x: usize, weight: usize, bias: usize, y: usize, columns: i32, width: i32, eps: f64): void {
  const runs = width > 0 ? <i64>rows * <i64>(columns / width) : 0;
  const stride = (<usize>width) << 2;
  for (let run: i64 = 0; run < runs; run++, x += stride, y += stride) {
    const mean = sumOf(x, width) / <f64>width;
    const factor = 1 / Math.sqrt(sumOfSquares(x, width, mean) / <f64>width + eps);
    const shift = f32x4.splat(<f32>mean);
    const factors = f32x4.splat(<f32>factor);
    let i: i32 = 0;
    for (; i + 4 <= width; i += 4) {
      const at = (<usize>i) << 2;
      let value = f32x4.mul(f32x4.mul(f32x4.sub(v128.load(x + at), shift), factors), v128.load(weight + at));
      if (bias) value = f32x4.add(value, v128.load(bias + at));
      v128.store(y + at, value);
    }
    for (; i < width; i++) {
      const at = (<usize>i) << 2;
      const value = (load<f32>(x + at) - <f32>mean) * <f32>factor * load<f32>(weight + at);
      store<f32>(y + at, bias ? value + load<f32>(bias + at) : value);
    }
  }
}
