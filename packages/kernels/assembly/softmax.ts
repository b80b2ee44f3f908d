import { exp1, exp4, max4, sum4 } from './math';

/** Values summed in f32 before they go to an f64 total. */
const RUN: i32 = 256;

/** exp(x - most) in place of x for `count` values; returns their sum. */
export function exponentials(x: usize, y: usize, count: i32, most: f32): f64 {
  const top = f32x4.splat(most);
  let total: f64 = 0;
  let i: i32 = 0;
  while (i + 4 <= count) {
    const end = min(count, i + RUN);
    let partial = f32x4.splat(0);
    for (; i + 4 <= end; i += 4) {
      const e = exp4(f32x4.sub(v128.load(x + ((<usize>i) << 2)), top));
      v128.store(y + ((<usize>i) << 2), e);
      partial = f32x4.add(partial, e);
    }
    total += sum4(partial);
  }
  for (; i < count; i++) {
    const e = exp1(load<f32>(x + ((<usize>i) << 2)) - most);
    store<f32>(y + ((<usize>i) << 2), e);
    total += <f64>e;
  }
  return total;
}

export function maximum(x: usize, count: i32): f32 {
  let tops = f32x4.splat(-Infinity);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) tops = f32x4.max(tops, v128.load(x + ((<usize>i) << 2)));
  let top = max4(tops);
  for (; i < count; i++) top = max(top, load<f32>(x + ((<usize>i) << 2)));
  return top;
}

export function multiply(y: usize, count: i32, factor: f32): void {
  const factors = f32x4.splat(factor);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) v128.store(y + ((<usize>i) << 2), f32x4.mul(v128.load(y + ((<usize>i) << 2)), factors));
  for (; i < count; i++) store<f32>(y + ((<usize>i) << 2), load<f32>(y + ((<usize>i) << 2)) * factor);
}

export function softmax(rows: i32, x: usize, y: usize, columns: i32): void {
  const stride = (<usize>columns) << 2;
  for (let r: i32 = 0; r < rows; r++, x += stride, y += stride) {
    const total = exponentials(x, y, columns, maximum(x, columns));
    multiply(y, columns, <f32>(1 / total));
  }
}
