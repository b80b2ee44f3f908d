/** Room for the group's difference from the weight; groups are as long as a row at most. */
const LONGEST = 16384;
const differences = memory.data(LONGEST * 4, 16);
const accumulator = memory.data(16, 16);

export function groupGrams(_rows: i32, x: usize, h: usize, tokens: i32, n: i32, groupSize: i32): void {
  for (let i: i32 = 0; i < n; i++) {
    const first = i - (i % groupSize);
    let j: i32 = 0;
    for (; j + 2 <= groupSize; j += 2) {
      let sum = f64x2.splat(0);
      let at = x;
      const a = (<usize>i) << 2;
      const b = (<usize>(first + j)) << 2;
      for (let t: i32 = 0; t < tokens; t++, at += (<usize>n) << 2)
        sum = f64x2.add(sum, f64x2.mul(f64x2.splat(<f64>load<f32>(at + a)), f64x2.promote_low_f32x4(v128.load64_zero(at + b))));
      v128.store64_lane(h + ((<usize>i * groupSize + j) << 2), f32x4.demote_f64x2_zero(sum), 0);
    }
    for (; j < groupSize; j++) {
      let sum: f64 = 0;
      let at = x;
      for (let t: i32 = 0; t < tokens; t++, at += (<usize>n) << 2)
        sum += <f64>load<f32>(at + ((<usize>i) << 2)) * <f64>load<f32>(at + ((<usize>(first + j)) << 2));
      store<f32>(h + ((<usize>i * groupSize + j) << 2), <f32>sum);
    }
  }
}

export function searchClip(
  rows: i32,
  w: usize,
  h: usize,
  clipped: usize,
  errors: usize,
  columns: i32,
  bits: i32,
  groupSize: i32,
  symmetric: i32,
  steps: i32,
): void {
  if (groupSize > LONGEST) unreachable();
  for (let r: i32 = 0; r < rows; r++) {
    let plain: f64 = 0;
    let best: f64 = 0;
    for (let start: i32 = 0; start < columns; start += groupSize) {
      const offset = (<usize>r * columns + start) << 2;
      const group = w + offset;
      const gram = h + ((<usize>start * groupSize) << 2);
      let largest: f32 = 0;
      for (let c: i32 = 0; c < groupSize; c++) largest = max(largest, abs(load<f32>(group + ((<usize>c) << 2))));
      let least: f64 = Infinity;
      let bestBound = largest;
      for (let step: i32 = 0; step < steps; step++) {
        const bound = largest * <f32>(1 - <f64>step / <f64>(2 * steps));
        const error = clipError(group, gram, bound, groupSize, bits, symmetric);
        if (step === 0) plain += error;
        if (error < least) {
          least = error;
          bestBound = bound;
        }
      }
      best += least;
      for (let c: i32 = 0; c < groupSize; c++)
        store<f32>(clipped + offset + ((<usize>c) << 2), max(-bestBound, min(bestBound, load<f32>(group + ((<usize>c) << 2)))));
    }
    store<f64>(errors + ((<usize>r) << 4), plain);
    store<f64>(errors + ((<usize>r) << 4), best, 8);
  }
}

/** `dᵀ H d` with d what the group becomes on the grid of its clamped values, less what it is. */
function clipError(group: usize, gram: usize, bound: f32, n: i32, bits: i32, symmetric: i32): f64 {
  let low: f32 = 0;
  let high: f32 = 0;
  for (let c: i32 = 0; c < n; c++) {
    const value = max(-bound, min(bound, load<f32>(group + ((<usize>c) << 2))));
    low = min(low, value);
    high = max(high, value);
  }
  if (symmetric) {
    high = max(-low, high);
    low = -high;
  }
  const levels = <f32>((1 << bits) - 1);
  const range = high - low;
  const fitted: f32 = range > 0 ? range / levels : 0;
  const scale: f32 = fitted > 0 ? fitted : 1;
  const zero: f32 = symmetric ? <f32>(1 << (bits - 1)) : fitted > 0 ? min(levels, nearest(-low / fitted)) : 0;
  for (let c: i32 = 0; c < n; c++) {
    const w = load<f32>(group + ((<usize>c) << 2));
    const value = max(-bound, min(bound, w));
    const code = min(levels, max(<f32>0, nearest<f32>(value / scale) + zero));
    store<f32>(differences + ((<usize>c) << 2), scale * (code - zero) - w);
  }
  let error: f64 = 0;
  for (let i: i32 = 0; i < n; i++) {
    const row = gram + ((<usize>i * n) << 2);
    let parts = f32x4.splat(0);
    let j: i32 = 0;
    for (; j + 4 <= n; j += 4) {
      const at = (<usize>j) << 2;
      parts = f32x4.add(parts, f32x4.mul(v128.load(row + at), v128.load(differences + at)));
    }
    v128.store(accumulator, parts);
    for (; j < n; j++) {
      const at = (<usize>j) << 2;
      const lane = accumulator + ((<usize>(j & 3)) << 2);
      store<f32>(lane, load<f32>(lane) + load<f32>(row + at) * load<f32>(differences + at));
    }
    const sum: f32 = load<f32>(accumulator) + load<f32>(accumulator, 4) + (load<f32>(accumulator, 8) + load<f32>(accumulator, 12));
    error += <f64>load<f32>(differences + ((<usize>i) << 2)) * <f64>sum;
  }
  return error;
}
