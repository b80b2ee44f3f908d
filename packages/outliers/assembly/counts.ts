import { sum4 } from './lanes';

function increment(counts: usize, index: i32): void {
  const at = counts + ((<usize>index) << 2);
  store<i32>(at, load<i32>(at) + 1);
}

/** How many values have each upper half of their bits without the sign: bins as fine as bf16. */
export function magnitudeCounts(_rows: i32, x: usize, counts: usize, count: i32): void {
  memory.fill(counts, 0, 32768 << 2);
  const end = x + ((<usize>count) << 2);
  for (let at = x; at < end; at += 4) increment(counts, load<u16>(at, 2) & 0x7fff);
}

/** Equal bins between low and high, and how many values lie above `upper` or below `lower`. The place of a value is computed in f32. */
export function valueCounts(
  _rows: i32,
  x: usize,
  upper: usize,
  lower: usize,
  counts: usize,
  beyond: usize,
  count: i32,
  limits: i32,
  low: f32,
  perUnit: f32,
  bins: i32,
): void {
  memory.fill(counts, 0, (<usize>bins) << 2);
  memory.fill(beyond, 0, (<usize>limits) << 2);
  const whole = count & ~3;
  const start = f32x4.splat(low);
  const factor = f32x4.splat(perUnit);
  const last = i32x4.splat(bins - 1);
  const zero = i32x4.splat(0);
  for (let i = 0; i < whole; i += 4) {
    const place = i32x4.trunc_sat_f32x4_s(f32x4.mul(f32x4.sub(v128.load(x + ((<usize>i) << 2)), start), factor));
    const bin = i32x4.min_s(i32x4.max_s(place, zero), last);
    increment(counts, i32x4.extract_lane(bin, 0));
    increment(counts, i32x4.extract_lane(bin, 1));
    increment(counts, i32x4.extract_lane(bin, 2));
    increment(counts, i32x4.extract_lane(bin, 3));
  }
  for (let i = whole; i < count; i++)
    increment(counts, min<i32>(max<i32>(<i32>((load<f32>(x + ((<usize>i) << 2)) - low) * perUnit), 0), bins - 1));
  for (let k = 0; k < limits; k++) {
    const most = load<f32>(upper + ((<usize>k) << 2));
    const least = load<f32>(lower + ((<usize>k) << 2));
    const most4 = f32x4.splat(most);
    const least4 = f32x4.splat(least);
    let found = i32x4.splat(0);
    for (let i = 0; i < whole; i += 4) {
      const value = v128.load(x + ((<usize>i) << 2));
      found = i32x4.sub(found, v128.or(f32x4.gt(value, most4), f32x4.lt(value, least4)));
    }
    let total = sum4(found);
    for (let i = whole; i < count; i++) {
      const value = load<f32>(x + ((<usize>i) << 2));
      if (value > most || value < least) total++;
    }
    store<i32>(beyond + ((<usize>k) << 2), total);
  }
}

/** Columns whose counts are filled at a time: with 66 bins they fit the first-level cache. */
const COLUMN_BLOCK: i32 = 64;

/** For each column, how many values are 0 (bin 0), and how many |x| fall into each unit of `1 / perUnit[column]` (bins 1, 2, …, larger ones in the last). */
export function columnBins(_rows: i32, x: usize, perUnit: usize, counts: usize, rows: i32, columns: i32, bins: i32): void {
  memory.fill(counts, 0, (<usize>columns * <usize>bins) << 2);
  const last = i32x4.splat(bins - 2);
  const zero = f32x4.splat(0);
  const stride = (<usize>bins) << 2;
  for (let first = 0; first < columns; first += COLUMN_BLOCK) {
    const end = min<i32>(columns, first + COLUMN_BLOCK);
    const whole = first + ((end - first) & ~3);
    for (let r = 0; r < rows; r++) {
      const row = x + ((<usize>r * <usize>columns) << 2);
      let counter = counts + <usize>first * stride;
      for (let c = first; c < whole; c += 4, counter += stride << 2) {
        const value = v128.load(row + ((<usize>c) << 2));
        const place = i32x4.trunc_sat_f32x4_s(f32x4.mul(f32x4.abs(value), v128.load(perUnit + ((<usize>c) << 2))));
        // A true comparison is −1 in each lane.
        const bin = i32x4.sub(i32x4.min_s(place, last), f32x4.ne(value, zero));
        increment(counter, i32x4.extract_lane(bin, 0));
        increment(counter + stride, i32x4.extract_lane(bin, 1));
        increment(counter + (stride << 1), i32x4.extract_lane(bin, 2));
        increment(counter + 3 * stride, i32x4.extract_lane(bin, 3));
      }
      for (let c = whole; c < end; c++, counter += stride) {
        const value = load<f32>(row + ((<usize>c) << 2));
        const place = abs<f32>(value) * load<f32>(perUnit + ((<usize>c) << 2));
        increment(counter, value == 0 ? 0 : place < <f32>(bins - 2) ? <i32>place + 1 : bins - 1);
      }
    }
  }
}

/** How often each code occurs. */
export function byteCounts(_rows: i32, codes: usize, counts: usize, count: i32): void {
  memory.fill(counts, 0, 256 << 2);
  for (let at = codes; at < codes + <usize>count; at++) increment(counts, load<u8>(at));
}
