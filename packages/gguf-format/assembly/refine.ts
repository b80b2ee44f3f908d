import { fromHalf, toHalf } from './half';
import { nearestCodes } from './lanes';

/** The block that is refined: factors as halves hold them, and for each group an integer scale and minimum; `x = d · scale · code − dmin · min`. */
export let d: f32 = 0;
export let dmin: f32 = 0;
export const SCALES: usize = memory.data(64, 16);
export const MINS: usize = memory.data(64, 16);
/** Result: codes less the lowest, a byte each. */
export const CODES: usize = memory.data(256, 16);

const BEST_SCALES: usize = memory.data(64, 16);
const BEST_MINS: usize = memory.data(64, 16);
const START_SCALES: usize = memory.data(64, 16);
const START_MINS: usize = memory.data(64, 16);
/** The error of each group with the current scales. */
const ERRORS: usize = memory.data(64, 16);
/** Weights where there is no importance. */
const ONES: usize = memory.data(1024, 16);

/** What a type's blocks can hold (src/search/refine.ts). */
let groups: i32 = 0;
let size: i32 = 0;
let low: i32 = 0;
let high: i32 = 0;
let leastScale: i32 = 0;
let mostScale: i32 = 0;
let mostMin: i32 = 0;
let affine: bool = false;

/** Integers that do not vary (`leastScale` = `mostScale`) are 1. */
export function describe(groupCount: i32, groupSize: i32, lowest: i32, highest: i32, least: i32, most: i32, mins: i32, hasMin: bool): void {
  groups = groupCount;
  size = groupSize;
  low = lowest;
  high = highest;
  leastScale = least;
  mostScale = most;
  mostMin = mins;
  affine = hasMin;
}

export function setFactors(first: f32, second: f32): void {
  d = first;
  dmin = second;
}

/** Weights of a block: its importance, or ones. */
export function weightsOf(importance: usize): usize {
  if (importance) return importance;
  for (let i = 0; i < 1024; i += 16) v128.store(ONES + i, f32x4.splat(1));
  return ONES;
}

/** `Σ w (y − x)²` of decoded values, each group in four interleaved sums. */
export function decodedError(x: usize, w: usize, y: usize): f32 {
  let sum: f32 = 0;
  const bytes = <usize>size * 4;
  for (let group = 0, start: usize = 0; group < groups; group++, start += bytes) {
    let sums = f32x4.splat(0);
    for (let i = start; i < start + bytes; i += 16) {
      const difference = f32x4.sub(v128.load(y + i), v128.load(x + i));
      sums = f32x4.add(sums, f32x4.mul(f32x4.mul(v128.load(w + i), difference), difference));
    }
    sum += ofLanes(sums);
  }
  return sum;
}

function ofLanes(sums: v128): f32 {
  return f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1) + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
}

/** The error of a group with the nearest codes for a scale and a minimum. */
function groupError(x: usize, w: usize, scale: f32, min: f32): f32 {
  const factor = f32x4.splat(scale);
  const inverse = f32x4.splat(scale != 0 ? <f32>1 / scale : 0);
  const shift = f32x4.splat(min);
  let sums = f32x4.splat(0);
  for (let i: usize = 0; i < <usize>size * 4; i += 16) {
    const value = v128.load(x + i);
    const codes = f32x4.convert_i32x4_s(nearestCodes(f32x4.mul(f32x4.add(value, shift), inverse), low, high));
    const difference = f32x4.sub(f32x4.sub(f32x4.mul(factor, codes), shift), value);
    sums = f32x4.add(sums, f32x4.mul(f32x4.mul(v128.load(w + i), difference), difference));
  }
  return ofLanes(sums);
}

/** Stores the error of each group; returns their sum. */
function measure(x: usize, w: usize): f32 {
  let sum: f32 = 0;
  for (let group = 0; group < groups; group++) {
    const at = group * 4;
    const offset = <usize>(group * size) * 4;
    const error = groupError(x + offset, w + offset, d * <f32>load<i32>(SCALES + at), dmin * <f32>load<i32>(MINS + at));
    store<f32>(ERRORS + at, error);
    sum += error;
  }
  return sum;
}

/** Moves the integers of each group to the best of their neighbours, as long as that helps. */
function climb(x: usize, w: usize): void {
  const far = affine ? 1 : 0;
  for (let group = 0; group < groups; group++) {
    const at = group * 4;
    const offset = <usize>(group * size) * 4;
    for (let step = 0; step < 8; step++) {
      const scale = load<i32>(SCALES + at);
      const min = load<i32>(MINS + at);
      let best = load<f32>(ERRORS + at);
      let moved = false;
      for (let s = max(leastScale, scale - 2); s <= min32(mostScale, scale + 2); s++)
        for (let m = max(0, min - far); m <= min32(mostMin, min + far); m++) {
          if (s == scale && m == min) continue;
          const error = groupError(x + offset, w + offset, d * <f32>s, dmin * <f32>m);
          if (!(error < best)) continue;
          best = error;
          store<i32>(SCALES + at, s);
          store<i32>(MINS + at, m);
          moved = true;
        }
      store<f32>(ERRORS + at, best);
      if (!moved) break;
    }
  }
}

function min32(a: i32, b: i32): i32 {
  return a < b ? a : b;
}

/** Fits the factors to the codes by least squares (sums in f64) and rounds them to halves. */
function refit(x: usize, w: usize): void {
  let aa: f64 = 0;
  let ab: f64 = 0;
  let bb: f64 = 0;
  let ax: f64 = 0;
  let bx: f64 = 0;
  for (let group = 0; group < groups; group++) {
    const s = load<i32>(SCALES + group * 4);
    const m = load<i32>(MINS + group * 4);
    const scale: f32 = d * <f32>s;
    const min: f32 = dmin * <f32>m;
    const inverse: f32 = scale != 0 ? <f32>1 / scale : 0;
    for (let i = group * size; i < (group + 1) * size; i++) {
      const value = load<f32>(x + i * 4);
      const weight = <f64>load<f32>(w + i * 4);
      const a = <f64>(s * codeOf((value + min) * inverse));
      const b = <f64>m;
      aa += weight * a * a;
      ab += weight * a * b;
      bb += weight * b * b;
      ax += weight * a * <f64>value;
      bx += weight * b * <f64>value;
    }
  }
  const determinant = aa * bb - ab * ab;
  if (affine && determinant > 0) {
    setFactors(half((ax * bb - bx * ab) / determinant), half((ax * ab - bx * aa) / determinant));
  } else if (aa > 0) setFactors(half((ax + <f64>dmin * ab) / aa), dmin);
}

function codeOf(value: f32): i32 {
  return max(low, min32(high, (reinterpret<i32>(value + 12582912) & 0x007fffff) - 0x00400000));
}

function half(value: f64): f32 {
  return fromHalf(toHalf(<f32>value));
}

/**
 * Refines the block (src/search/refine.ts): d, dmin, {@link SCALES} and {@link MINS} are where it starts, `limit` is the error to beat. Returns whether that was
 * found; then they, and {@link CODES}, are what to store.
 */
export function refine(x: usize, w: usize, limit: f32, starts: i32, spread: f32): bool {
  const startD = d;
  const startDmin = dmin;
  memory.copy(START_SCALES, SCALES, 64);
  memory.copy(START_MINS, MINS, 64);
  let best = limit;
  let bestD = startD;
  let bestDmin = startDmin;
  let found = false;
  for (let start = -starts; start <= starts; start++) {
    setFactors(half(<f64>startD * <f64>(<f32>1 + spread * <f32>start)), startDmin);
    memory.copy(SCALES, START_SCALES, 64);
    memory.copy(MINS, START_MINS, 64);
    for (let round = 0; round < 4; round++) {
      measure(x, w);
      if (leastScale < mostScale) climb(x, w);
      let error: f32 = 0;
      for (let group = 0; group < groups; group++) error += load<f32>(ERRORS + group * 4);
      if (error < best) {
        best = error;
        bestD = d;
        bestDmin = dmin;
        memory.copy(BEST_SCALES, SCALES, 64);
        memory.copy(BEST_MINS, MINS, 64);
        found = true;
      }
      const beforeD = d;
      const beforeDmin = dmin;
      refit(x, w);
      if ((d == beforeD && dmin == beforeDmin) || !(measure(x, w) < error)) break;
    }
  }
  if (!found) return false;
  setFactors(bestD, bestDmin);
  memory.copy(SCALES, BEST_SCALES, 64);
  memory.copy(MINS, BEST_MINS, 64);
  storeCodes(x);
  return true;
}

function storeCodes(x: usize): void {
  for (let group = 0; group < groups; group++) {
    const scale: f32 = d * <f32>load<i32>(SCALES + group * 4);
    const min: f32 = dmin * <f32>load<i32>(MINS + group * 4);
    const inverse: f32 = scale != 0 ? <f32>1 / scale : 0;
    for (let i = group * size; i < (group + 1) * size; i++) store<u8>(CODES + i, codeOf((load<f32>(x + i * 4) + min) * inverse) - low);
  }
}
