import { findRange, high, low, storeRange } from './min-max';

const BINS: i32 = 2048;
/** Logarithms of whole numbers: counts of rows are small. */
const LOGS: i32 = 4096;

const counts = memory.data(BINS * 4, 16);
const sums = memory.data((BINS + 1) * 4, 16);
const filled = memory.data((BINS + 1) * 4, 16);
const entropies = memory.data((BINS + 1) * 8, 16);
const logs = memory.data(LOGS * 8, 16);

function logOf(value: i32): f64 {
  if (value >= LOGS) return Math.log(<f64>value);
  const at = logs + ((<usize>value) << 3);
  const known = load<f64>(at);
  if (known != 0 || value <= 1) return known;
  const log = Math.log(<f64>value);
  store<f64>(at, log);
  return log;
}

/** Sums over the bins before each: counts, filled bins, count · log count. */
function prefixes(): void {
  let sum: i32 = 0;
  let full: i32 = 0;
  let entropy: f64 = 0;
  for (let k: i32 = 0; k < BINS; k++) {
    const count = load<i32>(counts + ((<usize>k) << 2));
    sum += count;
    if (count > 0) {
      full++;
      entropy += <f64>count * logOf(count);
    }
    store<i32>(sums + ((<usize>(k + 1)) << 2), sum);
    store<i32>(filled + ((<usize>(k + 1)) << 2), full);
    store<f64>(entropies + ((<usize>(k + 1)) << 3), entropy);
  }
}

/** `entropySearch` of src/ranges/entropy.ts on `counts`. */
function search(levels: i32, startBin: i32): i32 {
  prefixes();
  const total = load<i32>(sums + ((<usize>BINS) << 2));
  let best = BINS;
  let least: f64 = Infinity;
  for (let i: i32 = min(startBin, BINS); i <= BINS; i++) {
    const inside = load<i32>(sums + ((<usize>i) << 2));
    const outliers = total - inside;
    const last = load<i32>(counts + ((<usize>(i - 1)) << 2));
    if (inside == 0 || (outliers > 0 && last == 0)) continue;
    const entropy =
      outliers > 0
        ? load<f64>(entropies + ((<usize>(i - 1)) << 3)) + <f64>(last + outliers) * logOf(last + outliers)
        : load<f64>(entropies + ((<usize>i) << 3));
    let cross: f64 = 0;
    let lastRun: f64 = 0;
    let sumBefore: i32 = 0;
    let filledBefore: i32 = 0;
    for (let level: i32 = 1; level <= levels; level++) {
      const to = (level * i + levels - 1) / levels;
      const sum = load<i32>(sums + ((<usize>to) << 2));
      const full = load<i32>(filled + ((<usize>to) << 2));
      const part = sum - sumBefore;
      if (part > 0) {
        lastRun = logOf(part) - logOf(full - filledBefore);
        cross += <f64>part * lastRun;
      }
      sumBefore = sum;
      filledBefore = full;
    }
    const divergence = (entropy - cross - <f64>outliers * lastRun) / <f64>total + Math.log(<f64>inside / <f64>total);
    if (divergence < least) {
      least = divergence;
      best = i;
    }
  }
  return best;
}

export function entropyRanges(
  rows: i32,
  w: usize,
  lows: usize,
  highs: usize,
  columns: i32,
  groupSize: i32,
  bits: i32,
  symmetric: i32,
  startBin: i32,
): void {
  const groups = (columns + groupSize - 1) / groupSize;
  for (let r: i32 = 0; r < rows; r++)
    for (let g: i32 = 0; g < groups; g++) {
      const first = g * groupSize;
      const x = w + ((<usize>r * columns + first) << 2);
      const count = min(groupSize, columns - first);
      findRange(x, count);
      let from = low;
      let to = high;
      const most = max(-from, to);
      const perUnit: f32 = <f32>BINS / most;
      if (perUnit < Infinity) {
        memory.fill(counts, 0, (<usize>BINS) << 2);
        for (let i: i32 = 0; i < count; i++) {
          const bin = min(BINS - 1, <i32>(abs(load<f32>(x + ((<usize>i) << 2))) * perUnit));
          const at = counts + ((<usize>bin) << 2);
          store<i32>(at, load<i32>(at) + 1);
        }
        const oneSided = !symmetric && (from == 0 || to == 0);
        const bins = search(1 << (oneSided ? bits : bits - 1), startBin);
        if (bins < BINS) {
          const threshold = <f32>((<f64>bins + 0.5) * (<f64>most / <f64>BINS));
          from = max(from, -threshold);
          to = min(to, threshold);
        }
      }
      storeRange(lows, highs, <usize>r * groups + g, from, to, symmetric);
    }
}
