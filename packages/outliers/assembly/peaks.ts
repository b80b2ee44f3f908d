/** Peaks that are kept of each row. */
const PEAKS: i32 = 4;

/** The four values of each row that are largest in size, in falling order, with their columns (the first ones where sizes are equal). */
export function rowPeaks(rows: i32, x: usize, values: usize, columns: usize, width: i32): void {
  for (let r = 0; r < rows; r++) {
    const row = x + ((<usize>r * <usize>width) << 2);
    const value = values + ((<usize>r) << 4);
    const column = columns + ((<usize>r) << 4);
    v128.store(value, f32x4.splat(0));
    v128.store(column, i32x4.splat(-1));
    let least: f32 = -1;
    let c = 0;
    for (; c + 4 <= width; c += 4) {
      const four = v128.load(row + ((<usize>c) << 2));
      if (!v128.any_true(f32x4.gt(f32x4.abs(four), f32x4.splat(least)))) continue;
      for (let i = c; i < c + 4; i++) least = insert(value, column, load<f32>(row + ((<usize>i) << 2)), i);
    }
    for (; c < width; c++) least = insert(value, column, load<f32>(row + ((<usize>c) << 2)), c);
  }
}

/** Puts a value in its place among the peaks, and gives the size that the next one must exceed. */
function insert(values: usize, columns: usize, candidate: f32, index: i32): f32 {
  let at = PEAKS;
  while (at > 0 && exceeds(candidate, values, columns, at - 1)) at--;
  for (let i = PEAKS - 1; i > at; i--) {
    store<f32>(values + ((<usize>i) << 2), load<f32>(values + ((<usize>(i - 1)) << 2)));
    store<i32>(columns + ((<usize>i) << 2), load<i32>(columns + ((<usize>(i - 1)) << 2)));
  }
  if (at < PEAKS) {
    store<f32>(values + ((<usize>at) << 2), candidate);
    store<i32>(columns + ((<usize>at) << 2), index);
  }
  return load<i32>(columns, (PEAKS - 1) << 2) < 0 ? -1 : abs<f32>(load<f32>(values, (PEAKS - 1) << 2));
}

function exceeds(candidate: f32, values: usize, columns: usize, at: i32): bool {
  return load<i32>(columns + ((<usize>at) << 2)) < 0 || abs<f32>(candidate) > abs<f32>(load<f32>(values + ((<usize>at) << 2)));
}
