import { searchAffine } from '../search/affine.js';
import { sumOfSquares, weighByImportance } from '../search/importance.js';

const f = Math.fround;
const SIZE = 32;
const LARGEST = f(3.4028234663852886e38);

/**
 * The codes `0 … levels` of each block of 32, its scale and its minimum, for the types whose blocks are one affine grid (`x = d · c + m`).
 * Without importance the grid spans the block's range; with importance scale and minimum are searched, the minimum being at most 0.
 */
export function encodeAffineBlocks(
  x: Float32Array,
  importance: Float32Array | undefined,
  levels: number,
  emit: (block: number, scale: number, min: number, codes: Uint8Array) => void,
): void {
  const codes = new Uint8Array(SIZE);
  const sigma2 = importance ? f(sumOfSquares(x) / x.length) : 0;
  const trials = { levels, first: -0.9, step: 0.05, count: 36 };
  for (let block = 0; block * SIZE < x.length; block++) {
    const values = x.subarray(block * SIZE, (block + 1) * SIZE);
    if (importance) {
      const weights = weighByImportance(values, importance.subarray(block * SIZE, (block + 1) * SIZE), sigma2);
      const { scale, min } = searchAffine(values, weights, trials, codes);
      emit(block, scale, -min, codes);
      continue;
    }
    let [min, max] = [LARGEST, -LARGEST];
    for (const value of values) {
      if (value < min) min = value;
      if (value > max) max = value;
    }
    const scale = f(f(max - min) / levels);
    const inverse = scale !== 0 ? f(1 / scale) : 0;
    for (let i = 0; i < SIZE; i++) {
      const shifted = f(f(f(values[i] - min) * inverse) + 0.5);
      codes[i] = Number.isFinite(shifted) ? Math.min(levels, Math.trunc(shifted)) : 0;
    }
    emit(block, scale, min, codes);
  }
}
