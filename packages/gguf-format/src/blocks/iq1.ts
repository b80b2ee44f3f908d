import { CODEBOOKS } from '../codebooks/codebooks.js';
import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { nearestPoint } from '../search/nearest-point.js';
import { SHIFTS, type TernarySplit } from '../search/ternary-split.js';

const f = Math.fround;
const SIZE = 256;

/** A sub-block of IQ1: points of eight elements and the scale that fits them. */
export interface TernarySubBlock {
  readonly scale: number;
  readonly points: readonly number[];
  readonly shift: number;
}

/** Rounds a split to points, and fits the scale again where that changed anything. */
export function snapSplit({ scale, levels, shift }: TernarySplit, x: Float32Array, weights: Float32Array): TernarySubBlock {
  const codebook = CODEBOOKS.IQ1();
  const points: number[] = [];
  let moved = false;
  for (let start = 0; start < x.length; start += 8) {
    const end = start + 8;
    const values = SHIFTS[shift][start < x.length / 2 ? 0 : 1];
    const found = nearestPoint(codebook, levels.subarray(start, end), x.subarray(start, end), weights.subarray(start, end), scale, values);
    points.push(found.index);
    moved ||= !found.onGrid;
  }
  if (!moved) return { scale, points, shift };
  let sumXq = 0;
  let sumQq = 0;
  for (let i = 0; i < x.length; i++) {
    const q = SHIFTS[shift][i < x.length / 2 ? 0 : 1][levels[i]];
    const wq = f(weights[i] * q);
    sumXq = f(sumXq + f(wq * x[i]));
    sumQq = f(sumQq + f(wq * q));
  }
  return { scale: sumXq > 0 && sumQq > 0 ? f(sumXq / sumQq) : scale, points, shift };
}

/** Writes eight elements `factor · (level − 1 ± ⅛)`. */
export function decodeTernary(point: number, down: boolean, factor: number, out: Float32Array): void {
  const { points } = CODEBOOKS.IQ1();
  for (let i = 0; i < 8; i++) out[i] = factor * (points[point * 8 + i] - 1 + (down ? -0.125 : 0.125));
}

export function largestMagnitude(x: Float32Array): number {
  return x.reduce((largest, value) => (largest > Math.abs(value) ? largest : Math.abs(value)), 0);
}

/** Encodes a row in blocks of 256 values; without importance a value weighs by its square. */
export function inTernaryBlocks(blockBytes: number, encodeBlock: (x: Float32Array, weights: Float32Array, out: Uint8Array) => void) {
  return (x: Float32Array, importance: Float32Array | undefined, out: Uint8Array): void => {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += blockBytes) {
      const values = x.subarray(start, start + SIZE);
      const weights = importance
        ? weighByImportance(values, importance.subarray(start, start + SIZE), f(f(2 * sumOfSquares(values)) / SIZE))
        : values.map((value) => value * value);
      encodeBlock(values, weights, out.subarray(at, at + blockBytes));
    }
  };
}
