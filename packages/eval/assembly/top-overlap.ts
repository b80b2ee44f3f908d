import { load4 } from './softmax';

const MAX_TOP = 64;
const VALUES: usize = memory.data(MAX_TOP * 4, 16);
const BASE: usize = memory.data(MAX_TOP * 4, 16);
const QUANTIZED: usize = memory.data(MAX_TOP * 4, 16);

/** How many columns are among the `count` largest of both rows. */
export function topOverlap(rows: i32, base: usize, quantized: usize, common: usize, vocabulary: i32, count: i32): void {
  for (let r = 0; r < rows; r++) {
    const offset = (<usize>r * <usize>vocabulary) << 2;
    const foundA = largest(base + offset, vocabulary, count, BASE);
    const foundB = largest(quantized + offset, vocabulary, count, QUANTIZED);
    let both = 0;
    for (let i = 0; i < foundA; i++) {
      const column = load<i32>(BASE + ((<usize>i) << 2));
      for (let j = 0; j < foundB; j++) if (load<i32>(QUANTIZED + ((<usize>j) << 2)) == column) both++;
    }
    store<u8>(common + <usize>r, <u8>both);
  }
}

/** Columns of the `count` largest values above −∞, in descending order, by insertion; returns how many there are. Most groups of four fail the test against the smallest kept. */
function largest(row: usize, columns: i32, count: i32, found: usize): i32 {
  let kept = 0;
  let least: f32 = -Infinity;
  for (let c = 0; c < columns; c += 4) {
    if (!v128.any_true(f32x4.gt(load4(row, c, columns), f32x4.splat(least)))) continue;
    for (let i = c; i < min<i32>(c + 4, columns); i++) {
      const value = load<f32>(row + ((<usize>i) << 2));
      if (!(value > least)) continue;
      let at = kept < count ? kept : count - 1;
      while (at > 0 && load<f32>(VALUES + ((<usize>(at - 1)) << 2)) < value) {
        store<f32>(VALUES + ((<usize>at) << 2), load<f32>(VALUES + ((<usize>(at - 1)) << 2)));
        store<i32>(found + ((<usize>at) << 2), load<i32>(found + ((<usize>(at - 1)) << 2)));
        at--;
      }
      store<f32>(VALUES + ((<usize>at) << 2), value);
      store<i32>(found + ((<usize>at) << 2), i);
      if (kept < count) kept++;
      if (kept == count) least = load<f32>(VALUES + ((<usize>(count - 1)) << 2));
    }
  }
  return kept;
}
