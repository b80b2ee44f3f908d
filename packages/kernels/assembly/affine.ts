/** Of the group that {@link fitGroup} looked at last. */
let groupScale: f32 = 1;
let groupZero: f32 = 0;

/** Scale and zero point of `count` values; the arithmetic is that of `core.fitAffine`, operation by operation. */
function fitGroup(x: usize, count: i32, bits: i32, symmetric: i32): void {
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let i: i32 = 0;
  // pmin and pmax keep the first operand when the second is NaN.
  for (; i + 4 <= count; i += 4) {
    const value = v128.load(x + ((<usize>i) << 2));
    lows = f32x4.pmin(lows, value);
    highs = f32x4.pmax(highs, value);
  }
  let low = min(
    min(f32x4.extract_lane(lows, 0), f32x4.extract_lane(lows, 1)),
    min(f32x4.extract_lane(lows, 2), f32x4.extract_lane(lows, 3)),
  );
  let high = max(
    max(f32x4.extract_lane(highs, 0), f32x4.extract_lane(highs, 1)),
    max(f32x4.extract_lane(highs, 2), f32x4.extract_lane(highs, 3)),
  );
  for (; i < count; i++) {
    const value = load<f32>(x + ((<usize>i) << 2));
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (symmetric) {
    high = max(-low, high);
    low = -high;
  }
  const levels = <f32>((1 << bits) - 1);
  const range = high - low;
  const scale: f32 = range > 0 ? range / levels : 0;
  groupScale = scale > 0 ? scale : 1;
  groupZero = symmetric ? <f32>(1 << (bits - 1)) : scale > 0 ? min(levels, nearest(-low / scale)) : 0;
}

export function fitAffine(
  rows: i32,
  w: usize,
  scales: usize,
  zeroPoints: usize,
  columns: i32,
  bits: i32,
  groupSize: i32,
  symmetric: i32,
): void {
  const groups = (columns + groupSize - 1) / groupSize;
  for (let r: i32 = 0; r < rows; r++)
    for (let g: i32 = 0; g < groups; g++) {
      const first = g * groupSize;
      fitGroup(w + ((<usize>r * columns + first) << 2), min(groupSize, columns - first), bits, symmetric);
      const at = <usize>r * groups + g;
      store<f32>(scales + (at << 2), groupScale);
      store<u8>(zeroPoints + at, <u8>groupZero);
    }
}

/** `y = Q(w · factors) / factors`: what `core.fitAffine`, `core.roundAffine` and `core.dequantizeAffine` give one after the other. */
export function fakeQuantizeAffine(
  rows: i32,
  w: usize,
  factors: usize,
  y: usize,
  columns: i32,
  bits: i32,
  groupSize: i32,
  symmetric: i32,
): void {
  const levels = f32x4.splat(<f32>((1 << bits) - 1));
  for (let r: i32 = 0; r < rows; r++)
    for (let first: i32 = 0; first < columns; first += groupSize) {
      const count = min(groupSize, columns - first);
      const offset = (<usize>r * columns + first) << 2;
      const target = y + offset;
      if (factors) multiply(w + offset, factors + ((<usize>first) << 2), target, count);
      else memory.copy(target, w + offset, (<usize>count) << 2);
      fitGroup(target, count, bits, symmetric);
      const scale = f32x4.splat(groupScale);
      const zero = f32x4.splat(groupZero);
      const factor = factors + ((<usize>first) << 2);
      let c: i32 = 0;
      for (; c + 4 <= count; c += 4) {
        const at = (<usize>c) << 2;
        const value = f32x4.mul(scale, stepsOf(v128.load(target + at), scale, zero, levels));
        v128.store(target + at, factors ? f32x4.div(value, v128.load(factor + at)) : value);
      }
      for (; c < count; c++) {
        const at = (<usize>c) << 2;
        const value = f32x4.extract_lane(f32x4.mul(scale, stepsOf(f32x4.splat(load<f32>(target + at)), scale, zero, levels)), 0);
        store<f32>(target + at, factors ? value / load<f32>(factor + at) : value);
      }
    }
}

/** Codes less the zero point, as floats. */
function stepsOf(w: v128, scale: v128, zero: v128, levels: v128): v128 {
  const code = f32x4.add(f32x4.nearest(f32x4.div(w, scale)), zero);
  return f32x4.sub(f32x4.min(levels, f32x4.max(f32x4.splat(0), code)), zero);
}

/** `y = a · b`, `count` values. */
function multiply(a: usize, b: usize, y: usize, count: i32): void {
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.mul(v128.load(a + at), v128.load(b + at)));
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    store<f32>(y + at, load<f32>(a + at) * load<f32>(b + at));
  }
}

/** One to four codes; `u8` saturation is done by the clamp to `levels` before. */
function codesOf(w: v128, scale: v128, zero: v128, levels: v128): v128 {
  const code = f32x4.add(f32x4.nearest(f32x4.div(w, scale)), zero);
  return i32x4.trunc_sat_f32x4_s(f32x4.min(levels, f32x4.max(f32x4.splat(0), code)));
}

export function roundAffine(
  rows: i32,
  w: usize,
  scales: usize,
  zeroPoints: usize,
  groupIndex: usize,
  codes: usize,
  columns: i32,
  groups: i32,
  bits: i32,
  groupSize: i32,
): void {
  const levels = f32x4.splat(<f32>((1 << bits) - 1));
  for (let r: i32 = 0; r < rows; r++) {
    const row = <usize>r * columns;
    const grid = <usize>r * groups;
    if (groupIndex) {
      for (let c: i32 = 0; c < columns; c++) {
        const group = load<u32>(groupIndex + ((<usize>c) << 2));
        if (group >= <u32>groups) unreachable();
        const at = grid + group;
        const value = f32x4.splat(load<f32>(w + ((row + c) << 2)));
        const code = codesOf(value, f32x4.splat(load<f32>(scales + (at << 2))), f32x4.splat(<f32>load<u8>(zeroPoints + at)), levels);
        store<u8>(codes + row + c, <u8>i32x4.extract_lane(code, 0));
      }
      continue;
    }
    for (let g: i32 = 0; g * groupSize < columns; g++) {
      const scale = f32x4.splat(load<f32>(scales + ((grid + g) << 2)));
      const zero = f32x4.splat(<f32>load<u8>(zeroPoints + grid + g));
      const end = min(columns, (g + 1) * groupSize);
      let c = g * groupSize;
      for (; c + 16 <= end; c += 16) {
        const x = w + ((row + c) << 2);
        const a = codesOf(v128.load(x), scale, zero, levels);
        const b = codesOf(v128.load(x, 16), scale, zero, levels);
        const d = codesOf(v128.load(x, 32), scale, zero, levels);
        const e = codesOf(v128.load(x, 48), scale, zero, levels);
        v128.store(codes + row + c, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(d, e)));
      }
      for (; c < end; c++) {
        const code = codesOf(f32x4.splat(load<f32>(w + ((row + c) << 2))), scale, zero, levels);
        store<u8>(codes + row + c, <u8>i32x4.extract_lane(code, 0));
      }
    }
  }
}

export function dequantizeAffine(
  rows: i32,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
  groupIndex: usize,
  w: usize,
  columns: i32,
  groups: i32,
  groupSize: i32,
): void {
  for (let r: i32 = 0; r < rows; r++) {
    const row = <usize>r * columns;
    const grid = <usize>r * groups;
    if (groupIndex) {
      for (let c: i32 = 0; c < columns; c++) {
        const group = load<u32>(groupIndex + ((<usize>c) << 2));
        if (group >= <u32>groups) unreachable();
        const at = grid + group;
        const steps = <i32>load<u8>(codes + row + c) - <i32>load<u8>(zeroPoints + at);
        store<f32>(w + ((row + c) << 2), load<f32>(scales + (at << 2)) * <f32>steps);
      }
      continue;
    }
    for (let g: i32 = 0; g * groupSize < columns; g++) {
      const scale = load<f32>(scales + ((grid + g) << 2));
      const zero = <i32>load<u8>(zeroPoints + grid + g);
      const factors = f32x4.splat(scale);
      const zeros = i32x4.splat(zero);
      const end = min(columns, (g + 1) * groupSize);
      let c = g * groupSize;
      for (; c + 4 <= end; c += 4) {
        const wide = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(codes + row + c)));
        v128.store(w + ((row + c) << 2), f32x4.mul(factors, f32x4.convert_i32x4_s(i32x4.sub(wide, zeros))));
      }
      for (; c < end; c++) store<f32>(w + ((row + c) << 2), scale * <f32>(<i32>load<u8>(codes + row + c) - zero));
    }
  }
}
