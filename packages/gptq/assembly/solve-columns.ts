import { fitGroup, gridScale, gridZero, TILE } from './grid';
import { updateTrailing } from './update';

/** Rows that share a packed panel of u; a multiple of TILE. */
const STRIP: i32 = 32;
const MAX_BLOCK: i32 = 128;

/** Per tile of 16 rows, the columns of the current block, `[block][16]`: weights before, scaled errors after their column was rounded. */
const block = memory.data(STRIP * MAX_BLOCK * 4, 16);
/** Codes of one tile, `[block][16]`. */
const tileCodes = memory.data(MAX_BLOCK * TILE, 16);

/** See solve-columns.ts of src for what this computes; each tile of 16 rows runs in the lanes of four vectors. */
export function solveColumns(
  rows: i32,
  w: usize,
  u: usize,
  order: usize,
  dead: usize,
  groups: usize,
  fixedScales: usize,
  fixedZeros: usize,
  codes: usize,
  scales: usize,
  zeroPoints: usize,
  work: usize,
  columns: i32,
  groupCount: i32,
  groupSize: i32,
  bits: i32,
  symmetric: i32,
  blockSize: i32,
): void {
  const fixed = fixedScales != 0;
  if (fixed) {
    memory.copy(scales, fixedScales, (<usize>rows * groupCount) << 2);
    memory.copy(zeroPoints, fixedZeros, <usize>rows * groupCount);
  }
  gatherChannels(rows, columns, w, order, dead, work);
  // A group must not begin inside a block and end outside: its later columns would miss this block's updates when it is fitted.
  const step = !fixed && groupSize <= blockSize ? blockSize - (blockSize % groupSize) : blockSize;
  for (let first = 0; first < rows; first += STRIP) {
    const strip = min(STRIP, rows - first);
    for (let start = 0, end = 0; start < columns; start = end) {
      end = min(start + step, columns);
      if (!fixed && groupSize > blockSize) end = min(end, start - (start % groupSize) + groupSize);
      for (let tile = 0; tile < strip; tile += TILE) {
        const row = first + tile;
        const count = min(TILE, strip - tile);
        const columnsOfTile = block + <usize>(tile * MAX_BLOCK * 4);
        loadTile(columnsOfTile, work, row, count, start, end, columns);
        solveTile(
          columnsOfTile,
          u,
          groups,
          scales,
          zeroPoints,
          work,
          row,
          count,
          start,
          end,
          columns,
          groupCount,
          groupSize,
          fixed,
          bits,
          symmetric,
        );
        storeCodes(codes, order, row, count, start, end, columns);
      }
      updateTrailing(work, u, block, first, strip, start, end, columns, MAX_BLOCK);
    }
  }
}

/** Copies rows in processing order, dead channels as zeros. */
function gatherChannels(rows: i32, columns: i32, w: usize, order: usize, dead: usize, work: usize): void {
  for (let r = 0; r < rows; r++) {
    const from = w + ((<usize>r * columns) << 2);
    const to = work + ((<usize>r * columns) << 2);
    for (let i = 0; i < columns; i++) {
      const channel = <usize>load<i32>(order + ((<usize>i) << 2));
      store<f32>(to + ((<usize>i) << 2), load<u8>(dead + channel) ? 0 : load<f32>(from + (channel << 2)));
    }
  }
}

function loadTile(tile: usize, work: usize, row: i32, count: i32, start: i32, end: i32, columns: i32): void {
  memory.fill(tile, 0, <usize>((end - start) * TILE * 4));
  for (let r = 0; r < count; r++) {
    let from = work + ((<usize>(row + r) * columns + start) << 2);
    let to = tile + ((<usize>r) << 2);
    for (let k = start; k < end; k++, from += 4, to += TILE * 4) store<f32>(to, load<f32>(from));
  }
}

/** The column loop inside one block. Leaves the scaled errors in the tile, the codes in tileCodes, the rounded columns' weights in work. */
function solveTile(
  tile: usize,
  u: usize,
  groups: usize,
  scales: usize,
  zeroPoints: usize,
  work: usize,
  row: i32,
  count: i32,
  start: i32,
  end: i32,
  columns: i32,
  groupCount: i32,
  groupSize: i32,
  fixed: bool,
  bits: i32,
  symmetric: i32,
): void {
  const top = f32x4.splat(<f32>((1 << bits) - 1));
  const zero = f32x4.splat(0);
  let current = -1;
  for (let i = start; i < end; i++) {
    const group = load<i32>(groups + ((<usize>i) << 2));
    if (!fixed && i % groupSize == 0)
      fitGroup(tile, work, scales, zeroPoints, row, count, start, end, i, columns, groupCount, group, groupSize, bits, symmetric);
    if (group != current) {
      for (let r = 0; r < count; r++) {
        const at = <usize>(row + r) * groupCount + group;
        store<f32>(gridScale + ((<usize>r) << 2), load<f32>(scales + (at << 2)));
        store<f32>(gridZero + ((<usize>r) << 2), <f32>load<u8>(zeroPoints + at));
      }
      for (let r = count; r < TILE; r++) store<f32>(gridScale + ((<usize>r) << 2), 1);
      current = group;
    }
    const column = tile + <usize>((i - start) * TILE * 4);
    for (let r = 0; r < count; r++) store<f32>(work + ((<usize>(row + r) * columns + i) << 2), load<f32>(column + ((<usize>r) << 2)));
    const uRow = u + ((<usize>i * columns) << 2);
    const pivot = v128.load32_splat(uRow + ((<usize>i) << 2));
    for (let part = 0; part < 4; part++) {
      const offset = (<usize>part) << 4;
      const weights = v128.load(column + offset);
      const scale = v128.load(gridScale + offset);
      const zeroPoint = v128.load(gridZero + offset);
      const code = f32x4.min(top, f32x4.max(zero, f32x4.add(f32x4.nearest(f32x4.div(weights, scale)), zeroPoint)));
      const rounded = f32x4.mul(scale, f32x4.sub(code, zeroPoint));
      v128.store(column + offset, f32x4.div(f32x4.sub(weights, rounded), pivot));
      const whole = i32x4.trunc_sat_f32x4_u(code);
      const narrow = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(whole, whole), i16x8.splat(0));
      v128.store32_lane(tileCodes + <usize>((i - start) * TILE) + ((<usize>part) << 2), narrow, 0);
    }
    const e0 = v128.load(column);
    const e1 = v128.load(column, 16);
    const e2 = v128.load(column, 32);
    const e3 = v128.load(column, 48);
    let factor = uRow + ((<usize>(i + 1)) << 2);
    let to = column + TILE * 4;
    for (let j = i + 1; j < end; j++, factor += 4, to += TILE * 4) {
      const f = v128.load32_splat(factor);
      v128.store(to, f32x4.sub(v128.load(to), f32x4.mul(e0, f)));
      v128.store(to, f32x4.sub(v128.load(to, 16), f32x4.mul(e1, f)), 16);
      v128.store(to, f32x4.sub(v128.load(to, 32), f32x4.mul(e2, f)), 32);
      v128.store(to, f32x4.sub(v128.load(to, 48), f32x4.mul(e3, f)), 48);
    }
  }
}

function storeCodes(codes: usize, order: usize, row: i32, count: i32, start: i32, end: i32, columns: i32): void {
  for (let r = 0; r < count; r++) {
    const to = codes + <usize>(row + r) * columns;
    let from = tileCodes + <usize>r;
    for (let i = start; i < end; i++, from += TILE) store<u8>(to + <usize>load<i32>(order + ((<usize>i) << 2)), load<u8>(from));
  }
}
