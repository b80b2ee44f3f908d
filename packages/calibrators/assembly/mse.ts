import { findRange, high, low, storeRange } from './min-max';
import { pow4 } from './pow';

/** Vectors of four whose errors are summed in f32 before they go into the f64 sum. */
const RUN: i32 = 16;

/**
 * `Σ |q − x|^norm` in units of 1/unit, of codes as `core.roundAffine` gives them; stops once it reaches `bound`, since terms are never negative.
 */
function roundingError(x: usize, count: i32, scale: f32, zero: f32, top: f32, unit: f32, norm: f32, bound: f64): f64 {
  const scales = f32x4.splat(scale);
  const zeros = f32x4.splat(zero);
  const tops = f32x4.splat(top);
  const units = f32x4.splat(unit);
  const none = f32x4.splat(0);
  const whole = count >> 2;
  const vectors = (count + 3) >> 2;
  let sum: f64 = 0;
  for (let from: i32 = 0; from < vectors; from += RUN) {
    const end = min(vectors, from + RUN);
    let errors = none;
    for (let i = from; i < end; i++) {
      const value = i < whole ? v128.load(x + ((<usize>i) << 4)) : loadRest(x, count);
      const code = f32x4.pmin(tops, f32x4.pmax(none, f32x4.add(f32x4.nearest(f32x4.div(value, scales)), zeros)));
      const off = f32x4.mul(f32x4.abs(f32x4.sub(f32x4.mul(scales, f32x4.sub(code, zeros)), value)), units);
      errors = f32x4.add(errors, norm == 2 ? f32x4.mul(off, off) : pow4(off, norm));
    }
    sum += <f64>f32x4.extract_lane(errors, 0) + <f64>f32x4.extract_lane(errors, 1);
    sum += <f64>f32x4.extract_lane(errors, 2) + <f64>f32x4.extract_lane(errors, 3);
    if (sum >= bound) break;
  }
  return sum;
}

/** The last one to three values where they are no multiple of four, and zeros, which every grid holds. */
function loadRest(x: usize, count: i32): v128 {
  const at = x + ((<usize>(count & ~3)) << 2);
  let value = f32x4.replace_lane(f32x4.splat(0), 0, load<f32>(at));
  if ((count & 3) > 1) value = f32x4.replace_lane(value, 1, load<f32>(at, 4));
  if ((count & 3) > 2) value = f32x4.replace_lane(value, 2, load<f32>(at, 8));
  return value;
}

/** A little more: a sum that is as small as the least must not stop before its end. */
function nextUp(value: f64): f64 {
  return value * (1 + 2 * f64.EPSILON);
}

export function mseRanges(
  rows: i32,
  w: usize,
  lows: usize,
  highs: usize,
  columns: i32,
  groupSize: i32,
  bits: i32,
  symmetric: i32,
  steps: i32,
  grid: f64,
  norm: f32,
): void {
  const groups = (columns + groupSize - 1) / groupSize;
  const top = <f32>((1 << bits) - 1);
  let start: i32 = 0;
  for (let r: i32 = 0; r < rows; r++)
    for (let g: i32 = 0; g < groups; g++) {
      const first = g * groupSize;
      const x = w + ((<usize>r * columns + first) << 2);
      const count = min(groupSize, columns - first);
      findRange(x, count);
      const wholeHigh = symmetric ? max(-low, high) : high;
      const wholeLow = symmetric ? -wholeHigh : low;
      let bestLow = wholeLow;
      let bestHigh = wholeHigh;
      let least: f64 = Infinity;
      const unit: f32 = top / (wholeHigh - wholeLow);
      // From the part that was best for the group before outwards: a low bound early ends most of the sums early. It does not change the result.
      let best: i32 = -1;
      for (let k: i32 = 0; k < 2 * steps && unit < Infinity; k++) {
        const step = k & 1 ? start + ((k + 1) >> 1) : start - (k >> 1);
        if (step < 0 || step >= steps) continue;
        const part = <f32>(1 - <f64>step / grid);
        const from = wholeLow * part;
        const to = wholeHigh * part;
        const scale = (to - from) / top;
        if (!(scale > 0)) continue;
        const zero: f32 = symmetric ? <f32>(1 << (bits - 1)) : min(top, nearest(-from / scale));
        const error = roundingError(x, count, scale, zero, top, unit, norm, step < best ? nextUp(least) : least);
        if (error < least || (error == least && step < best)) {
          least = error;
          best = step;
          bestLow = from;
          bestHigh = to;
        }
      }
      if (best >= 0) start = best;
      storeRange(lows, highs, <usize>r * groups + g, bestLow, bestHigh, symmetric);
    }
}
