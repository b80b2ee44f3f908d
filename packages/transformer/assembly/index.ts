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
      memory.fill(y, 0, headBytes);
      let max: f32 = -Infinity;
      let sum: f32 = 0;
      for (let s = from; s < total; s++) {
        const old = s < past;
        const at: usize = (old ? <usize>s : <usize>(s - past)) * stride + offset;
        let score = dot(q, (old ? oldK : newK) + at, headDim) * scale;
        if (softcap > 0) score = softcap * Mathf.tanh(score / softcap);
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
