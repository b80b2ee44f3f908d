import { nearestCode } from '../blocks/nearest-int.js';
import type { Codebook } from '../codebooks/codebook.js';
import { nearestPoint } from './nearest-point.js';
import { searchPositive } from './positive.js';

const f = Math.fround;

/** How a type searches its sub-blocks of points with odd values `1, 3, …` and signs of their own. */
export interface CodebookSearch {
  readonly codebook: () => Codebook;
  /** Elements of a sub-block. */
  readonly size: number;
  /** First inverse scales `(top + step · t) / reach` for t = −trials … trials, where `top` is the largest value of a level. */
  readonly trials: number;
  readonly step: number;
  /** Where the first scales reach: the largest magnitude, or the top of a search with evenly spaced levels. */
  readonly reach: 'largest' | 'searched';
  /** Eight signs are stored in seven bits, so that an even number of them must be minus: if need be, that of the least weighty element is wrong. */
  readonly evenSigns: boolean;
  /** Sub-blocks whose largest magnitude is below this count as zero; at 0, only those of zeros. */
  readonly zeroBelow: number;
  /** Which vectors are rounded anew with the best scale: all, those that were no points, or all when any was none. */
  readonly again: 'all' | 'off grid' | 'all if any off grid';
}

export interface CodebookSubBlock {
  readonly scale: number;
  /** Numbers of points. */
  readonly points: readonly number[];
  /** Bits of minus signs, 8 elements each (7 bits with even signs). */
  readonly signs: readonly number[];
}

/**
 * ggml's search for a scale, points and signs of a sub-block: rounds magnitudes to points for each first scale, keeps the largest `(Σ w x q)² / Σ w q²`,
 * rounds again with the scale `Σ w x q / Σ w q²`, and fits it once more. Sums in f32, in index order. Undefined for a sub-block of zeros.
 */
export function searchCodebook(x: Float32Array, weights: Float32Array, search: CodebookSearch): CodebookSubBlock | undefined {
  const codebook = search.codebook();
  const { radix, size } = codebook;
  const values = Array.from({ length: radix }, (_, level) => 2 * level + 1);
  const top = values[radix - 1];
  const { magnitudes, signs } = splitSigns(x, weights, search.evenSigns);
  const largest = magnitudes.reduce((max, value) => (max > value ? max : value));
  if (search.zeroBelow === 0 ? largest === 0 : largest < search.zeroBelow) return undefined;
  let levels = new Uint8Array(x.length);
  let scale = f(largest / top);
  let reach = largest;
  if (search.reach === 'searched') {
    scale = searchPositive(magnitudes, weights, radix + 1, levels);
    reach = f(scale * radix);
    if (reach <= 0) return undefined;
  }
  const roots = weights.map(Math.sqrt);
  const groups = Array.from({ length: x.length / size }, (_, group) => ({ start: group * size, end: (group + 1) * size }));
  const snap = (group: number, inverse: number, by: number, out: Uint8Array): boolean => {
    const { start, end } = groups[group];
    const vector = out.subarray(start, end);
    for (let i = 0; i < size; i++) vector[i] = nearestCode(f(0.5 * f(f(inverse * magnitudes[start + i]) - 1)), 0, radix - 1);
    return nearestPoint(codebook, vector, magnitudes.subarray(start, end), roots.subarray(start, end), by, values).onGrid;
  };
  let onGrid = groups.map(() => search.again === 'off grid');
  let best = 0;
  for (let trial = -search.trials; trial <= search.trials; trial++) {
    const inverse = f(f(top + f(trial * f(search.step))) / reach);
    const tried = new Uint8Array(x.length);
    const triedOnGrid = groups.map((_, group) => snap(group, inverse, f(1 / inverse), tried));
    const { sumXq, sumQq } = fit(magnitudes, weights, tried);
    if (!(sumQq > 0 && f(sumXq * sumXq) > f(best * sumQq))) continue;
    scale = f(sumXq / sumQq);
    best = f(scale * sumXq);
    levels = tried;
    onGrid = triedOnGrid;
  }
  if (scale > 0 && (search.again === 'all' || onGrid.includes(false))) {
    const inverse = f(1 / scale);
    for (const group of groups.keys()) if (search.again !== 'off grid' || !onGrid[group]) snap(group, inverse, scale, levels);
    const { sumXq, sumQq } = fit(magnitudes, weights, levels);
    if (sumQq > 0) scale = f(sumXq / sumQq);
  }
  // ggml ends the program for what is not a number.
  if (Number.isNaN(scale)) return undefined;
  const points = groups.map(({ start, end }) => codebook.indexOf(levels.subarray(start, end)));
  const mask = search.evenSigns ? 127 : 255;
  return { scale: Math.abs(scale), points, signs: signs.map((bits) => (scale < 0 ? ~bits : bits) & mask) };
}

function splitSigns(x: Float32Array, weights: Float32Array, even: boolean): { magnitudes: Float32Array; signs: number[] } {
  const magnitudes = x.map((value) => (value >= 0 ? value : -value));
  const signs: number[] = [];
  for (let start = 0; start < x.length; start += 8) {
    let bits = 0;
    let count = 0;
    let lightest = 0;
    let least = Infinity;
    for (let i = 0; i < 8; i++) {
      const value = x[start + i];
      if (!(value >= 0)) {
        bits |= 1 << i;
        count++;
      }
      const weight = f(f(weights[start + i] * value) * value);
      if (i === 0 || weight < least) {
        least = weight;
        lightest = i;
      }
    }
    if (even && count % 2 === 1) {
      bits ^= 1 << lightest;
      magnitudes[start + lightest] = -magnitudes[start + lightest];
    }
    signs.push(bits);
  }
  return { magnitudes, signs };
}

/** `Σ w x q` and `Σ w q²` with `q = 2 · level + 1`. */
function fit(x: Float32Array, weights: Float32Array, levels: Uint8Array): { sumXq: number; sumQq: number } {
  let sumXq = 0;
  let sumQq = 0;
  for (let i = 0; i < x.length; i++) {
    const q = 2 * levels[i] + 1;
    sumXq = f(sumXq + f(f(weights[i] * x[i]) * q));
    sumQq = f(sumQq + f(f(weights[i] * q) * q));
  }
  return { sumXq, sumQq };
}
