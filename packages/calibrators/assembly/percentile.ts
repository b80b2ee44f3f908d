import { storeRange } from './min-max';

/** Values that are kept sorted where the rank is near an end. */
const NEAR: i32 = 8;
const near = memory.data(NEAR * 4, 4);
const digits = memory.data(256 * 4, 4);

/**
 * A u32 that orders f32 values as numbers. `form` 0: of the value, 1: of its negative, 2: of its magnitude.
 */
function keyOf(at: usize, form: i32): u32 {
  const bits = load<u32>(at);
  if (form == 2) return bits & 0x7fffffff;
  const key = bits & 0x80000000 ? ~bits : bits | 0x80000000;
  return form == 1 ? ~key : key;
}

function valueOf(key: u32, form: i32): f64 {
  if (form == 2) return <f64>reinterpret<f32>(key);
  const straight = form == 1 ? ~key : key;
  const value = <f64>reinterpret<f32>(straight & 0x80000000 ? straight & 0x7fffffff : ~straight);
  return form == 1 ? 0 - value : value;
}

let found: u32 = 0;
let next: u32 = 0;

/** The two greatest keys at and above distance `back` from the greatest: `found` and the one after it, from a sorted short list. */
function selectNear(x: usize, count: i32, form: i32, back: i32): void {
  const kept = back + 1;
  memory.fill(near, 0, <usize>(NEAR * 4));
  let least: u32 = 0;
  for (let i: i32 = 0; i < count; i++) {
    const key = keyOf(x + ((<usize>i) << 2), form);
    if (key < least) continue;
    // Ascending list of the greatest `kept` keys: the least one goes.
    let place = 0;
    while (place + 1 < kept && load<u32>(near + ((<usize>(place + 1)) << 2)) < key) {
      store<u32>(near + ((<usize>place) << 2), load<u32>(near + ((<usize>(place + 1)) << 2)));
      place++;
    }
    store<u32>(near + ((<usize>place) << 2), key);
    least = load<u32>(near);
  }
  found = load<u32>(near);
  next = kept > 1 ? load<u32>(near + 4) : found;
}

/** The key of rank `rank` from the least and the one after it, by its bytes from the highest on: four passes whatever the values. */
function selectByDigits(x: usize, count: i32, form: i32, rank: i32): void {
  let prefix: u32 = 0;
  let left = rank;
  let equal: i32 = 0;
  for (let shift: i32 = 24; shift >= 0; shift -= 8) {
    memory.fill(digits, 0, 1024);
    const above: u32 = shift == 24 ? 0 : ~(((<u32>1) << (shift + 8)) - 1);
    for (let i: i32 = 0; i < count; i++) {
      const key = keyOf(x + ((<usize>i) << 2), form);
      if ((key & above) != prefix) continue;
      const at = digits + ((<usize>((key >> shift) & 255)) << 2);
      store<i32>(at, load<i32>(at) + 1);
    }
    let digit: u32 = 0;
    for (; ; digit++) {
      equal = load<i32>(digits + ((<usize>digit) << 2));
      if (left < equal || digit == 255) break;
      left -= equal;
    }
    prefix |= digit << shift;
  }
  found = prefix;
  next = prefix;
  if (left + 1 < equal || rank + 1 >= count) return;
  next = 0xffffffff;
  for (let i: i32 = 0; i < count; i++) {
    const key = keyOf(x + ((<usize>i) << 2), form);
    if (key > prefix && key < next) next = key;
  }
}

/** The quantile at `share` in (0.5, 1], between two values by linear interpolation, in f64. */
function quantile(x: usize, count: i32, form: i32, share: f64): f64 {
  const exact = <f64>(count - 1) * share;
  const rank = <i32>Math.floor(exact);
  const back = count - 1 - rank;
  if (back < NEAR) selectNear(x, count, form, back);
  else selectByDigits(x, count, form, rank);
  const below = valueOf(found, form);
  return below + (valueOf(next, form) - below) * (exact - Math.floor(exact));
}

export function percentileRanges(
  rows: i32,
  w: usize,
  lows: usize,
  highs: usize,
  columns: i32,
  groupSize: i32,
  symmetric: i32,
  percentile: f64,
): void {
  const groups = (columns + groupSize - 1) / groupSize;
  const share = percentile / 100;
  for (let r: i32 = 0; r < rows; r++)
    for (let g: i32 = 0; g < groups; g++) {
      const first = g * groupSize;
      const x = w + ((<usize>r * columns + first) << 2);
      const count = min(groupSize, columns - first);
      const at = <usize>r * groups + g;
      if (symmetric) {
        const most = <f32>quantile(x, count, 2, share);
        storeRange(lows, highs, at, -most, most, 0);
      } else {
        const inside = 1 - (1 - share) / 2;
        // The negated values' upper end is the lower end of the values.
        const lowest = <f32>(0 - quantile(x, count, 1, inside));
        const highest = <f32>quantile(x, count, 0, inside);
        storeRange(lows, highs, at, min<f32>(0, lowest), max<f32>(0, highest), 0);
      }
    }
}
