/** Rows that the column loop handles at once: four vectors. */
export const TILE: i32 = 16;

/** Scale and zero point of the current group for the rows of a tile, f32. */
export const gridScale = memory.data(TILE * 4, 16);
export const gridZero = memory.data(TILE * 4, 16);
const lows = memory.data(TILE * 4, 16);
const highs = memory.data(TILE * 4, 16);

/** `core.fitAffine` on the columns `[i, i + groupSize)`: those of the current block are read from the tile, later ones from work. */
export function fitGroup(
  tile: usize,
  work: usize,
  scales: usize,
  zeroPoints: usize,
  row: i32,
  count: i32,
  start: i32,
  end: i32,
  i: i32,
  columns: i32,
  groupCount: i32,
  group: i32,
  groupSize: i32,
  bits: i32,
  symmetric: i32,
): void {
  const last = i + groupSize;
  for (let part = 0; part < 4; part++) {
    let low = f32x4.splat(0);
    let high = f32x4.splat(0);
    for (let k = i; k < min(last, end); k++) {
      const values = v128.load(tile + <usize>((k - start) * TILE * 4 + part * 16));
      low = f32x4.min(low, values);
      high = f32x4.max(high, values);
    }
    v128.store(lows + ((<usize>part) << 4), low);
    v128.store(highs + ((<usize>part) << 4), high);
  }
  const levels = <f32>((1 << bits) - 1);
  for (let r = 0; r < count; r++) {
    let low = load<f32>(lows + ((<usize>r) << 2));
    let high = load<f32>(highs + ((<usize>r) << 2));
    let from = work + ((<usize>(row + r) * columns + end) << 2);
    for (let k = end; k < last; k++, from += 4) {
      const value = load<f32>(from);
      low = min(low, value);
      high = max(high, value);
    }
    if (symmetric) {
      high = max(-low, high);
      low = -high;
    }
    const range = high - low;
    const scale: f32 = range > 0 ? range / levels : 0;
    const at = <usize>(row + r) * groupCount + group;
    store<f32>(scales + (at << 2), scale > 0 ? scale : 1);
    const zeroPoint: f32 = symmetric ? <f32>(1 << (bits - 1)) : scale > 0 ? min(levels, nearest<f32>(-low / scale)) : 0;
    store<u8>(zeroPoints + at, <u8>zeroPoint);
  }
}
