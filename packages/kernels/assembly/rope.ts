/** Rotates the first 2·half dimensions of every head by the angles of each token's position; the rest is copied. */
export function rope(
  rows: i32,
  x: usize,
  positions: usize,
  cos: usize,
  sin: usize,
  y: usize,
  width: i32,
  headDim: i32,
  half: i32,
  interleaved: i32,
  tableRows: i32,
): void {
  const tableRow = (<usize>half) << 2;
  for (let t: i32 = 0; t < rows; t++) {
    const position = <usize>load<u32>(positions + ((<usize>t) << 2));
    if (position >= <usize>tableRows) unreachable();
    const c = cos + position * tableRow;
    const s = sin + position * tableRow;
    for (let head: i32 = 0; head < width; head += headDim) {
      const from = x + ((<usize>t * width + head) << 2);
      const to = y + ((<usize>t * width + head) << 2);
      if (interleaved) rotatePairs(from, to, c, s, half);
      else rotateHalves(from, to, c, s, half);
      const rest = (<usize>half) << 3;
      memory.copy(to + rest, from + rest, ((<usize>headDim) << 2) - rest);
    }
  }
}

function rotateHalves(x: usize, y: usize, cos: usize, sin: usize, half: i32): void {
  const apart = (<usize>half) << 2;
  let i: i32 = 0;
  for (; i + 4 <= half; i += 4) {
    const at = (<usize>i) << 2;
    const p = v128.load(x + at);
    const q = v128.load(x + apart + at);
    const c = v128.load(cos + at);
    const s = v128.load(sin + at);
    v128.store(y + at, f32x4.sub(f32x4.mul(p, c), f32x4.mul(q, s)));
    v128.store(y + apart + at, f32x4.add(f32x4.mul(q, c), f32x4.mul(p, s)));
  }
  for (; i < half; i++) {
    const at = (<usize>i) << 2;
    const p = load<f32>(x + at);
    const q = load<f32>(x + apart + at);
    store<f32>(y + at, p * load<f32>(cos + at) - q * load<f32>(sin + at));
    store<f32>(y + apart + at, q * load<f32>(cos + at) + p * load<f32>(sin + at));
  }
}

function rotatePairs(x: usize, y: usize, cos: usize, sin: usize, half: i32): void {
  for (let i: i32 = 0; i < half; i++) {
    const at = (<usize>i) << 3;
    const p = load<f32>(x + at);
    const q = load<f32>(x + at + 4);
    const c = load<f32>(cos + ((<usize>i) << 2));
    const s = load<f32>(sin + ((<usize>i) << 2));
    store<f32>(y + at, p * c - q * s);
    store<f32>(y + at + 4, q * c + p * s);
  }
}
