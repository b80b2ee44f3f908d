import { bookIQ1 } from './codebook';
import { codeScales, SCALE_CODES, SCALES, WEIGHTS, weighBlock } from './codebook-block';
import { fromHalf, toHalf } from './half';
import {
  beginSplits,
  best,
  largestMagnitude,
  ORDER,
  POINTS,
  snapSplit,
  sortAscending,
  splitShift,
  storeTernary,
  takeSplit,
  trySplit,
} from './iq1';

const BYTES: i32 = 50;
const HIGH: i32 = 34;
const ZERO_BELOW: f32 = 1e-12;
/** Sums of the ascending values from the first on, 33 of each; behind them stands what is no number. */
const SUM_X: usize = memory.data(4 * 36, 16);
const SUM_W: usize = memory.data(4 * 36, 16);
const SHIFTS: usize = memory.data(8, 16);
const SUMS: usize = memory.data(64, 16);

export function encodeIQ1_S(rows: i32, x: usize, importance: usize, blocks: usize, columns: i32): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column += 256, x += 1024, blocks += BYTES)
      encodeBlock(x, importance ? importance + column * 4 : 0, blocks);
}

function encodeBlock(x: usize, importance: usize, block: usize): void {
  const book = bookIQ1();
  weighBlock(x, importance, 2, 0);
  memory.fill(block, 0, BYTES);
  for (let j = 0; j < 8; j++) {
    const at = x + j * 128;
    const w = WEIGHTS + j * 128;
    store<f32>(SCALES + j * 4, -1);
    store<u8>(SHIFTS + j, 0);
    if (largestMagnitude(at, 32) < ZERO_BELOW || !searchSplit(at, w)) continue;
    store<f32>(SCALES + j * 4, snapSplit(book, at, w, 32));
    store<u8>(SHIFTS + j, splitShift);
    let high: u32 = 0;
    for (let k = 0; k < 4; k++) {
      const point = <u32>load<u16>(POINTS + k * 2) >> 5;
      store<u8>(block + 2 + j * 4 + k, point);
      high |= (point >> 8) << (3 * k);
    }
    store<u16>(block + HIGH + j * 2, high);
  }
  const d = codeScales(8, 7);
  if (d == 0) return;
  for (let j = 0; j < 8; j++) {
    const word = block + HIGH + j * 2;
    store<u16>(word, load<u16>(word) | ((<u32>load<u8>(SCALE_CODES + j) | (load<u8>(SHIFTS + j) ? 8 : 0)) << 12));
  }
  store<u16>(block, toHalf(d * <f32>1.125));
}

/** All ways to cut 32 ascending values in three, four second cuts at a time. */
function searchSplit(x: usize, w: usize): bool {
  sortAscending(x, 32);
  let sumX: f32 = 0;
  let sumW: f32 = 0;
  for (let place = 0; place < 32; place++) {
    const i = <usize>load<u8>(ORDER + place) * 4;
    const weight = load<f32>(w + i);
    sumX += weight * load<f32>(x + i);
    sumW += weight;
    store<f32>(SUM_X + place * 4, sumX, 4);
    store<f32>(SUM_W + place * 4, sumW, 4);
  }
  for (let i = 33; i < 36; i++) store<f32>(SUM_W + i * 4, NaN);
  // The values of the levels: −⅞, ⅛ and 1⅛, or −1⅛, −⅛ and ⅞.
  const eighth = f32x4.splat(0.125);
  const small = f32x4.splat(0.875);
  const large = f32x4.splat(1.125);
  const allX = f32x4.splat(sumX);
  const allW = f32x4.splat(sumW);
  beginSplits();
  for (let low = 0; low <= 32; low++) {
    const lowX = f32x4.splat(load<f32>(SUM_X + low * 4));
    const lowW = f32x4.splat(load<f32>(SUM_W + low * 4));
    const lowUpX = f32x4.neg(f32x4.mul(lowX, small));
    const lowUpW = f32x4.mul(f32x4.mul(lowW, small), small);
    const lowDownX = f32x4.neg(f32x4.mul(lowX, large));
    const lowDownW = f32x4.mul(f32x4.mul(lowW, large), large);
    for (let high = low; high <= 32; high += 4) {
      const x = v128.load(SUM_X + high * 4);
      const w = v128.load(SUM_W + high * 4);
      const middleX = f32x4.mul(f32x4.sub(x, lowX), eighth);
      const middleW = f32x4.mul(f32x4.mul(f32x4.sub(w, lowW), eighth), eighth);
      const restX = f32x4.sub(allX, x);
      const restW = f32x4.sub(allW, w);
      const upXq = f32x4.add(f32x4.add(lowUpX, middleX), f32x4.mul(restX, large));
      const upQq = f32x4.add(f32x4.add(lowUpW, middleW), f32x4.mul(f32x4.mul(restW, large), large));
      const downXq = f32x4.add(f32x4.sub(lowDownX, middleX), f32x4.mul(restX, small));
      const downQq = f32x4.add(f32x4.add(lowDownW, middleW), f32x4.mul(f32x4.mul(restW, small), small));
      const least = f32x4.splat(best);
      const up = f32x4.gt(f32x4.mul(upXq, upXq), f32x4.mul(least, upQq));
      const down = f32x4.gt(f32x4.mul(downXq, downXq), f32x4.mul(least, downQq));
      if (!v128.any_true(v128.or(up, down))) continue;
      v128.store(SUMS, upXq);
      v128.store(SUMS, upQq, 16);
      v128.store(SUMS, downXq, 32);
      v128.store(SUMS, downQq, 48);
      for (let lane = 0; lane < 4; lane++) {
        const at = SUMS + lane * 4;
        trySplit(low, high + lane, 0, load<f32>(at), load<f32>(at, 16));
        trySplit(low, high + lane, 3, load<f32>(at, 32), load<f32>(at, 48));
      }
    }
  }
  return takeSplit(32);
}

export function decodeIQ1_S(rows: i32, blocks: usize, x: usize, columns: i32): void {
  const book = bookIQ1();
  for (let block = 0; block < (rows * columns) / 256; block++, blocks += BYTES) {
    const d = fromHalf(load<u16>(blocks));
    for (let j = 0; j < 8; j++, x += 128) {
      const word = <u32>load<u16>(blocks + HIGH + j * 2);
      const factor: f32 = d * <f32>(((word >> 12) & 7) * 2 + 1);
      for (let k = 0; k < 4; k++) {
        const point = <u32>load<u8>(blocks + 2 + j * 4 + k) | (((word >> (3 * k)) & 7) << 8);
        storeTernary(book, point, word >> 15 != 0, factor, x + k * 32);
      }
    }
  }
}
