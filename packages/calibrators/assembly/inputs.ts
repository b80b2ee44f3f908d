/** Bins of a histogram on each side of 0. */
const HALF: i32 = 2048;

/** `calibrators.inputStatistics` of src/inputs/kernel.ts, operation by operation; sums of a channel are made in the order of the rows. */
export function inputStatistics(
  _rows: i32,
  x: usize,
  peaks: usize,
  sums: usize,
  squares: usize,
  range: usize,
  exponent: usize,
  counts: usize,
  notFinite: usize,
  rows: i32,
  columns: i32,
): void {
  memory.fill(peaks, 0, (<usize>columns) << 2);
  memory.fill(sums, 0, (<usize>columns) << 3);
  memory.fill(squares, 0, (<usize>columns) << 3);
  memory.fill(counts, 0, (<usize>(2 * HALF)) << 2);
  let low: f32 = 0;
  let high: f32 = 0;
  let bad: i32 = 0;
  const total = rows * columns;
  for (let r: i32 = 0; r < rows; r++) {
    const row = x + ((<usize>r * <usize>columns) << 2);
    for (let c: i32 = 0; c < columns; c++) {
      const value = load<f32>(row + ((<usize>c) << 2));
      const size = abs(value);
      if (!(size < Infinity)) {
        bad++;
        continue;
      }
      const peak = peaks + ((<usize>c) << 2);
      if (size > load<f32>(peak)) store<f32>(peak, size);
      const sum = sums + ((<usize>c) << 3);
      store<f64>(sum, load<f64>(sum) + <f64>size);
      const square = squares + ((<usize>c) << 3);
      store<f64>(square, load<f64>(square) + <f64>value * <f64>value);
      low = min(low, value);
      high = max(high, value);
    }
  }
  const most = max(-low, high);
  // Bins of 2^(⌊log2 most⌋ − 10): the 2048 on a side reach beyond it.
  const power: i32 = most > 0 ? max(<i32>(reinterpret<u32>(most) >> 23), 1) - 127 - 10 : -136;
  const perUnit = reinterpret<f64>((<u64>(1023 - power)) << 52);
  for (let i: i32 = 0; i < total; i++) {
    const value = load<f32>(x + ((<usize>i) << 2));
    if (!(abs(value) < Infinity)) continue;
    const bin = <i32>Math.floor(<f64>value * perUnit) + HALF;
    const count = counts + ((<usize>bin) << 2);
    store<i32>(count, load<i32>(count) + 1);
  }
  store<f32>(range, low);
  store<f32>(range + 4, high);
  store<i32>(exponent, power);
  store<i32>(notFinite, bad);
}
