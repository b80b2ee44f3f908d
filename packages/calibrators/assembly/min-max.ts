/** What {@link findRange} found. */
export let low: f32 = 0;
export let high: f32 = 0;

/** The least and the greatest of `count` values, 0 included; NaN is passed over. */
export function findRange(x: usize, count: i32): void {
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let i: i32 = 0;
  // pmin and pmax keep the first operand when the second is NaN.
  for (; i + 4 <= count; i += 4) {
    const value = v128.load(x + ((<usize>i) << 2));
    lows = f32x4.pmin(lows, value);
    highs = f32x4.pmax(highs, value);
  }
  low = min(min(f32x4.extract_lane(lows, 0), f32x4.extract_lane(lows, 1)), min(f32x4.extract_lane(lows, 2), f32x4.extract_lane(lows, 3)));
  high = max(
    max(f32x4.extract_lane(highs, 0), f32x4.extract_lane(highs, 1)),
    max(f32x4.extract_lane(highs, 2), f32x4.extract_lane(highs, 3)),
  );
  for (; i < count; i++) {
    const value = load<f32>(x + ((<usize>i) << 2));
    if (value < low) low = value;
    if (value > high) high = value;
  }
}

/** Stores a range, spread to both sides for symmetric grids. */
export function storeRange(lows: usize, highs: usize, at: usize, from: f32, to: f32, symmetric: i32): void {
  if (symmetric) {
    to = max(-from, to);
    from = -to;
  }
  store<f32>(lows + (at << 2), from);
  store<f32>(highs + (at << 2), to);
}

export function minMaxRanges(rows: i32, w: usize, lows: usize, highs: usize, columns: i32, groupSize: i32, symmetric: i32): void {
  const groups = (columns + groupSize - 1) / groupSize;
  for (let r: i32 = 0; r < rows; r++)
    for (let g: i32 = 0; g < groups; g++) {
      const first = g * groupSize;
      findRange(w + ((<usize>r * columns + first) << 2), min(groupSize, columns - first));
      storeRange(lows, highs, <usize>r * groups + g, low, high, symmetric);
    }
}
