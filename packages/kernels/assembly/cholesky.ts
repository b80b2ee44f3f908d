/** Cholesky factor l of the lower triangle of `a [n, n]` f64, in place; the upper triangle becomes 0. Returns 0, or 1 + the row whose pivot is bad. */
export function factorBlock(n: i32, a: usize): i32 {
  const stride = (<usize>n) << 3;
  for (let j: i32 = 0; j < n; j++) {
    const rowJ = a + <usize>j * stride;
    const pivot = load<f64>(rowJ + ((<usize>j) << 3)) - dot(rowJ, rowJ, j);
    if (!(pivot > 0 && pivot < Infinity)) return j + 1;
    const root = Math.sqrt(pivot);
    store<f64>(rowJ + ((<usize>j) << 3), root);
    for (let i = j + 1; i < n; i++) {
      const rowI = a + <usize>i * stride;
      store<f64>(rowI + ((<usize>j) << 3), (load<f64>(rowI + ((<usize>j) << 3)) - dot(rowI, rowJ, j)) / root);
    }
    memory.fill(rowJ + ((<usize>(j + 1)) << 3), 0, (<usize>(n - j - 1)) << 3);
  }
  return 0;
}

/** The inverse of a lower triangular `l [n, n]` f64 into `x`, whose upper triangle becomes 0. */
export function invertLowerBlock(n: i32, l: usize, x: usize): void {
  const stride = (<usize>n) << 3;
  memory.fill(x, 0, <usize>n * stride);
  for (let i: i32 = 0; i < n; i++) {
    const rowL = l + <usize>i * stride;
    const rowX = x + <usize>i * stride;
    // Row i of the inverse: (e_i - Σ_{k<i} l_ik · row k) / l_ii.
    for (let k: i32 = 0; k < i; k++) {
      const factor = load<f64>(rowL + ((<usize>k) << 3));
      subtractScaled(rowX, x + <usize>k * stride, factor, k + 1);
    }
    const pivot = load<f64>(rowL + ((<usize>i) << 3));
    store<f64>(rowX + ((<usize>i) << 3), 1);
    for (let j: i32 = 0; j <= i; j++) store<f64>(rowX + ((<usize>j) << 3), load<f64>(rowX + ((<usize>j) << 3)) / pivot);
  }
}

function dot(a: usize, b: usize, count: i32): f64 {
  let even = f64x2.splat(0);
  let odd = f64x2.splat(0);
  let i: i32 = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 3;
    even = f64x2.add(even, f64x2.mul(v128.load(a + at), v128.load(b + at)));
    odd = f64x2.add(odd, f64x2.mul(v128.load(a + at, 16), v128.load(b + at, 16)));
  }
  const both = f64x2.add(even, odd);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; i < count; i++) sum += load<f64>(a + ((<usize>i) << 3)) * load<f64>(b + ((<usize>i) << 3));
  return sum;
}

function subtractScaled(y: usize, x: usize, factor: f64, count: i32): void {
  const factors = f64x2.splat(factor);
  let i: i32 = 0;
  for (; i + 2 <= count; i += 2) {
    const at = (<usize>i) << 3;
    v128.store(y + at, f64x2.sub(v128.load(y + at), f64x2.mul(factors, v128.load(x + at))));
  }
  for (; i < count; i++) store<f64>(y + ((<usize>i) << 3), load<f64>(y + ((<usize>i) << 3)) - factor * load<f64>(x + ((<usize>i) << 3)));
}
