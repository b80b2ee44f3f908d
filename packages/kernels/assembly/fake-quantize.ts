/** Minimum and maximum of each row, extended to hold 0; the arithmetic is that of `core.rowRanges`. */
export function rowRanges(rows: i32, x: usize, ranges: usize, columns: i32): void {
  for (let r: i32 = 0; r < rows; r++, x += (<usize>columns) << 2, ranges += 8) {
    measure(x, columns);
    store<f32>(ranges, low);
    store<f32>(ranges, high, 4);
  }
}

let low: f32 = 0;
let high: f32 = 0;

/** The range of some values and 0, left in `low` and `high`; pmin and pmax pass over NaN. */
function measure(x: usize, count: i32): void {
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let moreLows = lows;
  let moreHighs = highs;
  let i: i32 = 0;
  for (; i + 8 <= count; i += 8) {
    const at = x + ((<usize>i) << 2);
    const a = v128.load(at);
    const b = v128.load(at, 16);
    lows = f32x4.pmin(lows, a);
    highs = f32x4.pmax(highs, a);
    moreLows = f32x4.pmin(moreLows, b);
    moreHighs = f32x4.pmax(moreHighs, b);
  }
  lows = f32x4.pmin(lows, moreLows);
  highs = f32x4.pmax(highs, moreHighs);
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

/** Where a scale comes from. */
const GIVEN: i32 = 1;
const OF_TENSOR: i32 = 2;

let stepScale: f32 = 1;
let stepZero: f32 = 0;

/** The scale and zero point of the range in `low` and `high`. */
function fitStep(isFloat: i32, bits: i32, symmetric: i32, leastScale: f32): void {
  const range = symmetric ? max(-low, high) : high - low;
  const levels = isFloat ? <f32>448 : <f32>((1 << (bits - symmetric)) - 1);
  const measured = max(range / levels, leastScale);
  stepScale = measured > 0 ? measured : 1;
  stepZero = isFloat ? 0 : symmetric ? <f32>(1 << (bits - 1)) : min(levels, nearest(-low / stepScale));
}

/** The arithmetic is that of `core.fakeQuantize`, operation by operation. `source`: 0 measures each group, else GIVEN or OF_TENSOR. */
export function fakeQuantize(
  rows: i32,
  x: usize,
  ranges: usize,
  y: usize,
  columns: i32,
  groupSize: i32,
  isFloat: i32,
  bits: i32,
  symmetric: i32,
  source: i32,
  rangeRows: i32,
  scale: f32,
  zeroPoint: f32,
  leastScale: f32,
): void {
  if (source == GIVEN) {
    stepScale = scale;
    stepZero = zeroPoint;
  } else if (source == OF_TENSOR) {
    measure(ranges, 2 * rangeRows);
    fitStep(isFloat, bits, symmetric, leastScale);
  }
  const levels = <f32>((1 << bits) - 1);
  for (let r: i32 = 0; r < rows; r++) {
    for (let start: i32 = 0; start < columns; start += groupSize) {
      const count = min(groupSize, columns - start);
      const at = (<usize>r * columns + start) << 2;
      if (source == 0) {
        measure(x + at, count);
        fitStep(isFloat, bits, symmetric, leastScale);
      }
      if (isFloat) roundFloats(x + at, y + at, count, stepScale);
      else roundIntegers(x + at, y + at, count, stepScale, stepZero, levels);
    }
  }
}

function integerOf(x: v128, scale: v128, zero: v128, levels: v128): v128 {
  const code = f32x4.add(f32x4.nearest(f32x4.div(x, scale)), zero);
  return f32x4.mul(scale, f32x4.sub(f32x4.max(f32x4.splat(0), f32x4.min(levels, code)), zero));
}

function roundIntegers(x: usize, y: usize, count: i32, scale: f32, zeroPoint: f32, levels: f32): void {
  const scales = f32x4.splat(scale);
  const zeros = f32x4.splat(zeroPoint);
  const top = f32x4.splat(levels);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, integerOf(v128.load(x + at), scales, zeros, top));
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, f32x4.extract_lane(integerOf(f32x4.splat(load<f32>(x + at)), scales, zeros, top), 0));
  }
}

/** E4M3 has three bits below the leading one, and steps of 2^-9 below 2^-6: a whole number of such steps, times the step, is exact in f32. */
function floatOf(x: v128, scale: v128): v128 {
  const value = f32x4.max(f32x4.splat(-448), f32x4.min(f32x4.splat(448), f32x4.div(x, scale)));
  const exponent = i32x4.max_s(v128.and(value, i32x4.splat(0x7f800000)), i32x4.splat(121 << 23));
  const step = i32x4.sub(exponent, i32x4.splat(3 << 23));
  const perStep = i32x4.sub(i32x4.splat(254 << 23), step);
  return f32x4.mul(scale, f32x4.mul(f32x4.nearest(f32x4.mul(value, perStep)), step));
}

function roundFloats(x: usize, y: usize, count: i32, scale: f32): void {
  const scales = f32x4.splat(scale);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, floatOf(v128.load(x + at), scales));
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, f32x4.extract_lane(floatOf(f32x4.splat(load<f32>(x + at)), scales), 0));
  }
}
