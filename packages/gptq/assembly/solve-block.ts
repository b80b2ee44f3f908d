import { TILE } from './grid';

const MAX_PANEL: i32 = 256;
/** The columns of the panel for 16 rows, `[panel][16]`. */
const tile = memory.data(MAX_PANEL * TILE * 4, 16);
const tileScale = memory.data(TILE * 4, 16);
const tileOffset = memory.data(TILE * 4, 16);
const tileCodes = memory.data(MAX_PANEL * TILE, 16);

/** See solve-block.ts of src; each tile of 16 rows runs in the lanes of four vectors. */
export function solveBlock(
  rows: i32,
  panel: usize,
  u: usize,
  groups: usize,
  scales: usize,
  offsets: usize,
  levels: usize,
  codes: usize,
  solved: usize,
  columns: i32,
  count: i32,
  groupCount: i32,
  start: i32,
  firstLevel: i32,
  levelCount: i32,
): void {
  memory.copy(solved, panel, (<usize>rows * columns) << 2);
  for (let row = 0; row < rows; row += TILE) {
    const height = min(TILE, rows - row);
    const own = solved + ((<usize>row * columns) << 2);
    loadTile(own, height, start, columns);
    solveTile(u, groups, scales, offsets, levels, row, height, columns, count, groupCount, start, <f32>firstLevel, levelCount);
    storeTile(own, height, start, columns);
    for (let r = 0; r < height; r++)
      for (let k = 0; k < count; k++) store<u8>(codes + <usize>((row + r) * count + k), load<u8>(tileCodes + <usize>(k * TILE + r)));
  }
}

function loadTile(rows: usize, height: i32, start: i32, columns: i32): void {
  memory.fill(tile, 0, <usize>(columns * TILE * 4));
  for (let r = 0; r < height; r++)
    for (let j = start; j < columns; j++)
      store<f32>(tile + ((<usize>(j * TILE + r)) << 2), load<f32>(rows + ((<usize>(r * columns + j)) << 2)));
}

function storeTile(rows: usize, height: i32, start: i32, columns: i32): void {
  for (let r = 0; r < height; r++)
    for (let j = start; j < columns; j++)
      store<f32>(rows + ((<usize>(r * columns + j)) << 2), load<f32>(tile + ((<usize>(j * TILE + r)) << 2)));
}

function loadSteps(scales: usize, offsets: usize, row: i32, height: i32, groupCount: i32, group: i32): void {
  for (let r = 0; r < TILE; r++) {
    const at = (<usize>((row + min(r, height - 1)) * groupCount + group)) << 2;
    store<f32>(tileScale + ((<usize>r) << 2), load<f32>(scales + at));
    store<f32>(tileOffset + ((<usize>r) << 2), load<f32>(offsets + at));
  }
}

function solveTile(
  u: usize,
  groups: usize,
  scales: usize,
  offsets: usize,
  levels: usize,
  row: i32,
  height: i32,
  columns: i32,
  count: i32,
  groupCount: i32,
  start: i32,
  firstLevel: f32,
  levelCount: i32,
): void {
  const zero = f32x4.splat(0);
  const first = f32x4.splat(firstLevel);
  const top = f32x4.splat(<f32>(levelCount - 1));
  let current = -1;
  for (let k = 0; k < count; k++) {
    const i = start + k;
    const group = load<i32>(groups + ((<usize>k) << 2));
    if (group != current) loadSteps(scales, offsets, row, height, groupCount, group);
    current = group;
    const column = tile + ((<usize>(i * TILE)) << 2);
    const uRow = u + ((<usize>(i * columns)) << 2);
    const pivot = v128.load32_splat(uRow + ((<usize>i) << 2));
    for (let part = 0; part < 4; part++) {
      const at = (<usize>part) << 4;
      const weights = v128.load(column + at);
      const scale = v128.load(tileScale + at);
      const offset = v128.load(tileOffset + at);
      const x = v128.andnot(f32x4.div(f32x4.add(weights, offset), scale), f32x4.eq(scale, zero));
      let code: v128;
      let level: v128;
      if (levels) {
        code = i32x4.splat(0);
        level = v128.load32_splat(levels);
        for (let c = 1; c < levelCount; c++) {
          const from = levels + ((<usize>c) << 2);
          const above = f32x4.ge(x, f32x4.splat((load<f32>(from - 4) + load<f32>(from)) / 2));
          code = i32x4.sub(code, above);
          level = v128.bitselect(v128.load32_splat(from), level, above);
        }
      } else {
        const clamped = f32x4.min(top, f32x4.max(zero, f32x4.sub(f32x4.nearest(x), first)));
        code = i32x4.trunc_sat_f32x4_u(clamped);
        level = f32x4.add(clamped, first);
      }
      const value = f32x4.sub(f32x4.mul(scale, level), offset);
      v128.store(column + at, f32x4.div(f32x4.sub(weights, value), pivot));
      const narrow = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(code, code), i16x8.splat(0));
      v128.store32_lane(tileCodes + <usize>(k * TILE) + ((<usize>part) << 2), narrow, 0);
    }
    const e0 = v128.load(column);
    const e1 = v128.load(column, 16);
    const e2 = v128.load(column, 32);
    const e3 = v128.load(column, 48);
    let factor = uRow + ((<usize>(i + 1)) << 2);
    let to = column + TILE * 4;
    for (let j = i + 1; j < columns; j++, factor += 4, to += TILE * 4) {
      const f = v128.load32_splat(factor);
      v128.store(to, f32x4.sub(v128.load(to), f32x4.mul(e0, f)));
      v128.store(to, f32x4.sub(v128.load(to, 16), f32x4.mul(e1, f)), 16);
      v128.store(to, f32x4.sub(v128.load(to, 32), f32x4.mul(e2, f)), 32);
      v128.store(to, f32x4.sub(v128.load(to, 48), f32x4.mul(e3, f)), 48);
    }
  }
}
