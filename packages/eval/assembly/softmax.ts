// Pieces of a numerically safe softmax over one row of f32 logits.

/** e^x for x ≤ 0: 0 below −87.3, relative error below 2e-7 (the polynomial of Cephes' expf after subtracting n·ln 2 in two parts). */
export function exp4(x: v128): v128 {
  const inRange = f32x4.ge(x, f32x4.splat(-87.3));
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.1219444e-4)));
  let y = f32x4.splat(1.98756915e-4);
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.3981999507e-3));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(8.3334519073e-3));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(4.1665795894e-2));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.6666665459e-1));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(5.0000001201e-1));
  y = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(r, r), y), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  // A NaN fails every comparison: it must stay a NaN, not become 0.
  const nan = f32x4.ne(x, x);
  return v128.or(v128.and(f32x4.mul(y, power), inRange), v128.and(x, nan));
}

/** Columns `at …` of a row; −∞ where the row has ended. */
export function load4(row: usize, at: i32, columns: i32): v128 {
  if (at + 4 <= columns) return v128.load(row + ((<usize>at) << 2));
  let value = f32x4.splat(-Infinity);
  value = f32x4.replace_lane(value, 0, load<f32>(row + ((<usize>at) << 2)));
  if (at + 1 < columns) value = f32x4.replace_lane(value, 1, load<f32>(row + ((<usize>(at + 1)) << 2)));
  if (at + 2 < columns) value = f32x4.replace_lane(value, 2, load<f32>(row + ((<usize>(at + 2)) << 2)));
  return value;
}

/** The largest value; NaN if there is any. */
export function maximum(row: usize, columns: i32): f32 {
  let best = f32x4.splat(-Infinity);
  for (let c = 0; c < columns; c += 4) best = f32x4.max(best, load4(row, c, columns));
  return max<f32>(
    max<f32>(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max<f32>(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
}

/** The first column that holds `value`, or −1. */
export function indexOf(row: usize, columns: i32, value: f32): i32 {
  const wanted = f32x4.splat(value);
  for (let c = 0; c < columns; c += 4)
    if (v128.any_true(f32x4.eq(load4(row, c, columns), wanted)))
      for (let i = c; i < min<i32>(c + 4, columns); i++) if (load<f32>(row + ((<usize>i) << 2)) == value) return i;
  return -1;
}

/** Σ e^(x − top), summed in f64. */
export function expSum(row: usize, columns: i32, top: f32): f64 {
  let even = f64x2.splat(0);
  let odd = f64x2.splat(0);
  const tops = f32x4.splat(top);
  for (let c = 0; c < columns; c += 4) {
    const e = exp4(f32x4.sub(load4(row, c, columns), tops));
    even = f64x2.add(even, f64x2.promote_low_f32x4(e));
    odd = f64x2.add(odd, f64x2.promote_low_f32x4(i8x16.shuffle(e, e, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)));
  }
  const both = f64x2.add(even, odd);
  return f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
}

let squared: f64 = 0;

/** {@link expSum}, which also leaves Σ e^(2(x − top)) for {@link squareSum}. */
export function expSums(row: usize, columns: i32, top: f32): f64 {
  let even = f64x2.splat(0);
  let odd = f64x2.splat(0);
  let evenSquares = f64x2.splat(0);
  let oddSquares = f64x2.splat(0);
  const tops = f32x4.splat(top);
  for (let c = 0; c < columns; c += 4) {
    const e = exp4(f32x4.sub(load4(row, c, columns), tops));
    const low = f64x2.promote_low_f32x4(e);
    const high = f64x2.promote_low_f32x4(i8x16.shuffle(e, e, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    even = f64x2.add(even, low);
    odd = f64x2.add(odd, high);
    evenSquares = f64x2.add(evenSquares, f64x2.mul(low, low));
    oddSquares = f64x2.add(oddSquares, f64x2.mul(high, high));
  }
  const both = f64x2.add(even, odd);
  const squares = f64x2.add(evenSquares, oddSquares);
  squared = f64x2.extract_lane(squares, 0) + f64x2.extract_lane(squares, 1);
  return f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
}

/** Σ e^(2(x − top)) of the last {@link expSums}. */
export function squareSum(): f64 {
  return squared;
}
