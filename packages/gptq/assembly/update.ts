import { TILE } from './grid';

const MAX_BLOCK: i32 = 128;
/** Eight columns of u for the rows of the current block, `[block][8]`. */
const panel = memory.data(MAX_BLOCK * 32, 16);

/** `work[:, j] −= Σ_i e_i · u_ij` for all columns j behind the block, i ascending. `errors` holds `[tile][maxBlock][16]`. */
export function updateTrailing(
  work: usize,
  u: usize,
  errors: usize,
  first: i32,
  rows: i32,
  start: i32,
  end: i32,
  columns: i32,
  maxBlock: i32,
): void {
  const depth = end - start;
  let j = end;
  for (; j + 8 <= columns; j += 8) {
    let from = u + ((<usize>start * columns + j) << 2);
    let to = panel;
    for (let k = 0; k < depth; k++, from += (<usize>columns) << 2, to += 32) {
      v128.store(to, v128.load(from));
      v128.store(to, v128.load(from, 16), 16);
    }
    for (let r = 0; r < rows; r += 4) {
      const e = errors + <usize>((r / TILE) * TILE * maxBlock + (r % TILE)) * 4;
      const at = work + ((<usize>(first + r) * columns + j) << 2);
      if (rows - r >= 4) updateFour(at, (<usize>columns) << 2, e, depth);
      else for (let s = 0; s < rows - r; s++) updateOne(at + ((<usize>s * columns) << 2), e + ((<usize>s) << 2), depth);
    }
  }
  for (; j < columns; j++)
    for (let r = 0; r < rows; r++) {
      let e = errors + <usize>((r / TILE) * TILE * maxBlock + (r % TILE)) * 4;
      let factor = u + ((<usize>start * columns + j) << 2);
      const at = work + ((<usize>(first + r) * columns + j) << 2);
      let value = load<f32>(at);
      for (let k = 0; k < depth; k++, e += TILE * 4, factor += (<usize>columns) << 2) value -= load<f32>(e) * load<f32>(factor);
      store<f32>(at, value);
    }
}

function updateFour(at: usize, stride: usize, e: usize, depth: i32): void {
  const at1 = at + stride;
  const at2 = at1 + stride;
  const at3 = at2 + stride;
  let a0 = v128.load(at),
    a1 = v128.load(at1),
    a2 = v128.load(at2),
    a3 = v128.load(at3);
  let b0 = v128.load(at, 16),
    b1 = v128.load(at1, 16),
    b2 = v128.load(at2, 16),
    b3 = v128.load(at3, 16);
  let from = panel;
  for (let k = 0; k < depth; k++, from += 32, e += TILE * 4) {
    const p = v128.load(from);
    const q = v128.load(from, 16);
    const e0 = v128.load32_splat(e);
    a0 = f32x4.sub(a0, f32x4.mul(e0, p));
    b0 = f32x4.sub(b0, f32x4.mul(e0, q));
    const e1 = v128.load32_splat(e, 4);
    a1 = f32x4.sub(a1, f32x4.mul(e1, p));
    b1 = f32x4.sub(b1, f32x4.mul(e1, q));
    const e2 = v128.load32_splat(e, 8);
    a2 = f32x4.sub(a2, f32x4.mul(e2, p));
    b2 = f32x4.sub(b2, f32x4.mul(e2, q));
    const e3 = v128.load32_splat(e, 12);
    a3 = f32x4.sub(a3, f32x4.mul(e3, p));
    b3 = f32x4.sub(b3, f32x4.mul(e3, q));
  }
  v128.store(at, a0);
  v128.store(at, b0, 16);
  v128.store(at1, a1);
  v128.store(at1, b1, 16);
  v128.store(at2, a2);
  v128.store(at2, b2, 16);
  v128.store(at3, a3);
  v128.store(at3, b3, 16);
}

function updateOne(at: usize, e: usize, depth: i32): void {
  let a = v128.load(at),
    b = v128.load(at, 16);
  let from = panel;
  for (let k = 0; k < depth; k++, from += 32, e += TILE * 4) {
    const factor = v128.load32_splat(e);
    a = f32x4.sub(a, f32x4.mul(factor, v128.load(from)));
    b = f32x4.sub(b, f32x4.mul(factor, v128.load(from, 16)));
  }
  v128.store(at, a);
  v128.store(at, b, 16);
}
