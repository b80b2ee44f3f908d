/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

/** `y[r] = [a[r] | b[r]]`; m and n are columns of f32. */
export function joinColumns(rows: i32, a: usize, b: usize, y: usize, m: i32, n: i32): void {
  const aBytes: usize = (<usize>m) << 2;
  const bBytes: usize = (<usize>n) << 2;
  for (let r = 0; r < rows; r++) {
    memory.copy(y, a, aBytes);
    memory.copy(y + aBytes, b, bBytes);
    a += aBytes;
    b += bBytes;
    y += aBytes + bBytes;
  }
}

/**
 * One query per row against its cached keys and values, by the online softmax of Milakov and Gimelshein (arXiv 1805.02867): scores are not
 * stored, and the running sum is rescaled when the maximum grows. f32 throughout.
 */
export function attentionStep(
  rows: i32,
  q: usize,
  pastK: usize,
  pastV: usize,
  recentK: usize,
  recentV: usize,
  slopes: usize,
  y: usize,
  past: i32,
  recent: i32,
  heads: i32,
  kvHeads: i32,
  headDim: i32,
  scale: f32,
  window: i32,
  softcap: f32,
): void {
  const stride: usize = (<usize>(kvHeads * headDim)) << 2;
  const headBytes: usize = (<usize>headDim) << 2;
  const total = past + recent;
  const from = window > 0 && total > window ? total - window : 0;
  for (let r = 0; r < rows; r++) {
    const oldK = pastK + <usize>r * <usize>past * stride;
    const oldV = pastV + <usize>r * <usize>past * stride;
    const newK = recentK + <usize>r * <usize>recent * stride;
    const newV = recentV + <usize>r * <usize>recent * stride;
    for (let head = 0; head < heads; head++) {
      const offset: usize = <usize>((head * kvHeads) / heads) * headBytes;
      const slope: f32 = slopes ? load<f32>(slopes + ((<usize>head) << 2)) : 0;
      memory.fill(y, 0, headBytes);
      let max: f32 = -Infinity;
      let sum: f32 = 0;
      for (let s = from; s < total; s++) {
        const old = s < past;
        const at: usize = (old ? <usize>s : <usize>(s - past)) * stride + offset;
        let score = dot(q, (old ? oldK : newK) + at, headDim) * scale;
        if (softcap > 0) score = softcap * Mathf.tanh(score / softcap);
        score += slope * <f32>(s - total + 1);
        if (score > max) {
          const shrink: f32 = Mathf.exp(max - score);
          sum *= shrink;
          rescale(y, shrink, headDim);
          max = score;
        }
        const weight: f32 = Mathf.exp(score - max);
        sum += weight;
        accumulate(y, (old ? oldV : newV) + at, weight, headDim);
      }
      rescale(y, 1 / sum, headDim);
      q += headBytes;
      y += headBytes;
    }
  }
}

function dot(a: usize, b: usize, n: i32): f32 {
  let sums = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) sums = f32x4.add(sums, f32x4.mul(v128.load(a + ((<usize>i) << 2)), v128.load(b + ((<usize>i) << 2))));
  let sum = f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1) + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
  for (; i < n; i++) sum += load<f32>(a + ((<usize>i) << 2)) * load<f32>(b + ((<usize>i) << 2));
  return sum;
}

function rescale(y: usize, factor: f32, n: i32): void {
  const factors = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(y + ((<usize>i) << 2), f32x4.mul(v128.load(y + ((<usize>i) << 2)), factors));
  for (; i < n; i++) store<f32>(y + ((<usize>i) << 2), load<f32>(y + ((<usize>i) << 2)) * factor);
}

function accumulate(y: usize, x: usize, factor: f32, n: i32): void {
  const factors = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const at: usize = (<usize>i) << 2;
    v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(v128.load(x + at), factors)));
  }
  for (; i < n; i++) {
    const at: usize = (<usize>i) << 2;
    store<f32>(y + at, load<f32>(y + at) + load<f32>(x + at) * factor);
  }
}

/** Columns `[start, start + width)` of each run of `length` columns. */
export function takeColumns(rows: i32, x: usize, y: usize, groups: i32, length: i32, start: i32, width: i32): void {
  const bytes: usize = (<usize>width) << 2;
  x += (<usize>start) << 2;
  for (let run = 0; run < rows * groups; run++) {
    memory.copy(y, x, bytes);
    x += (<usize>length) << 2;
    y += bytes;
  }
}

/** `y[r] = x[r] · sigmoid(gate[r])`. */
export function sigmoidGate(rows: i32, x: usize, gate: usize, y: usize, n: i32): void {
  const bytes: usize = (<usize>n) << 2;
  for (let r = 0; r < rows; r++) {
    memory.copy(y, x, bytes);
    rescale(y, <f32>(1.0 / (1.0 + Math.exp(-(<f64>load<f32>(gate + ((<usize>r) << 2)))))), n);
    x += bytes;
    y += bytes;
  }
}

/** `y = cap · tanh(x / cap)` of rows · n values. */
export function softcap(rows: i32, x: usize, y: usize, n: i32, cap: f32): void {
  const count = rows * n;
  const caps = f32x4.splat(cap);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at: usize = (<usize>i) << 2;
    v128.store(y + at, f32x4.mul(caps, tanh4(f32x4.div(v128.load(x + at), caps))));
  }
  for (; i < count; i++) {
    const at: usize = (<usize>i) << 2;
    store<f32>(y + at, cap * f32x4.extract_lane(tanh4(f32x4.splat(load<f32>(x + at) / cap)), 0));
  }
}

/** tanh of four values within 4e-7: the rational approximation of Eigen (odd degree 13 over even degree 6), constant beyond ±9. NaN stays NaN. */
function tanh4(value: v128): v128 {
  const x = f32x4.pmin(f32x4.pmax(value, f32x4.splat(-9)), f32x4.splat(9));
  const s = f32x4.mul(x, x);
  let p = f32x4.splat(-2.76076847742355e-16);
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(2.00018790482477e-13));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(-8.60467152213735e-11));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(5.12229709037114e-8));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(1.48572235717979e-5));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(6.37261928875436e-4));
  p = f32x4.add(f32x4.mul(p, s), f32x4.splat(4.89352455891786e-3));
  let q = f32x4.splat(1.19825839466702e-6);
  q = f32x4.add(f32x4.mul(q, s), f32x4.splat(1.18534705686654e-4));
  q = f32x4.add(f32x4.mul(q, s), f32x4.splat(2.268434632439e-3));
  q = f32x4.add(f32x4.mul(q, s), f32x4.splat(4.89352518554385e-3));
  return f32x4.div(f32x4.mul(p, x), q);
}

/** Layer norm of each run of `width` of n columns, with a weight for each column. Sums in f64. */
export function headLayerNorm(rows: i32, x: usize, weight: usize, y: usize, n: i32, width: i32, eps: f32): void {
  for (let r = 0; r < rows; r++)
    for (let start = 0; start < n; start += width) {
      let sum: f64 = 0;
      for (let i = 0; i < width; i++) sum += <f64>load<f32>(x + ((<usize>i) << 2));
      const mean = sum / <f64>width;
      let squares: f64 = 0;
      for (let i = 0; i < width; i++) {
        const centred = <f64>load<f32>(x + ((<usize>i) << 2)) - mean;
        squares += centred * centred;
      }
      const factor = 1.0 / Math.sqrt(squares / <f64>width + <f64>eps);
      for (let i = 0; i < width; i++) {
        const at: usize = (<usize>i) << 2;
        const centred = <f64>load<f32>(x + at) - mean;
        store<f32>(y + at, <f32>(centred * factor * <f64>load<f32>(weight + ((<usize>(start + i)) << 2))));
      }
      x += (<usize>width) << 2;
      y += (<usize>width) << 2;
    }
}

/** `y[t] = base[t] + Σᵢ weights[t, i] · yᵢ[slots[t, i]]` over eight tables. */
export function weightedSum(
  rows: i32,
  slots: usize,
  weights: usize,
  base: usize,
  y0: usize,
  y1: usize,
  y2: usize,
  y3: usize,
  y4: usize,
  y5: usize,
  y6: usize,
  y7: usize,
  y: usize,
  n: i32,
): void {
  const bytes: usize = (<usize>n) << 2;
  for (let t = 0; t < rows; t++) {
    if (base) memory.copy(y, base + <usize>t * bytes, bytes);
    else memory.fill(y, 0, bytes);
    addRow(y, y0, slots, weights, n);
    addRow(y, y1, slots + 4, weights + 4, n);
    addRow(y, y2, slots + 8, weights + 8, n);
    addRow(y, y3, slots + 12, weights + 12, n);
    addRow(y, y4, slots + 16, weights + 16, n);
    addRow(y, y5, slots + 20, weights + 20, n);
    addRow(y, y6, slots + 24, weights + 24, n);
    addRow(y, y7, slots + 28, weights + 28, n);
    slots += 32;
    weights += 32;
    y += bytes;
  }
}

function addRow(y: usize, table: usize, slot: usize, weight: usize, n: i32): void {
  const row = load<i32>(slot);
  if (row >= 0) accumulate(y, table + ((<usize>row * <usize>n) << 2), load<f32>(weight), n);
}
