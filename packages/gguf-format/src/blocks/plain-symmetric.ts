import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { searchSymmetric } from '../search/symmetric.js';

const f = Math.fround;
const SIZE = 32;

/**
 * The codes `0 … 2 · levels − 1` of each block of 32 and its scale, for the types whose blocks are one symmetric grid (`x = d · (c − levels)`).
 * Without importance the element of largest magnitude becomes `−levels` exactly; with importance the scale is searched.
 */
export function encodeSymmetricBlocks(
  x: Float32Array,
  importance: Float32Array | undefined,
  levels: number,
  emit: (block: number, scale: number, codes: Uint8Array) => void,
): void {
  const codes = new Uint8Array(SIZE);
  const sigma2 = importance ? f(sumOfSquares(x) / x.length) : 0;
  for (let block = 0; block * SIZE < x.length; block++) {
    const values = x.subarray(block * SIZE, (block + 1) * SIZE);
    if (importance) {
      const weights = weighByImportance(values, importance.subarray(block * SIZE, (block + 1) * SIZE), sigma2);
      emit(block, searchSymmetric(values, weights, levels, codes), codes);
      continue;
    }
    let [magnitude, max] = [0, 0];
    for (const value of values)
      if (magnitude < Math.abs(value)) {
        magnitude = Math.abs(value);
        max = value;
      }
    const scale = f(max / -levels);
    const inverse = scale !== 0 ? f(1 / scale) : 0;
    for (let i = 0; i < SIZE; i++) {
      const shifted = f(f(values[i] * inverse) + (levels + 0.5));
      codes[i] = Number.isFinite(shifted) ? Math.min(2 * levels - 1, Math.trunc(shifted)) : 0;
    }
    emit(block, scale, codes);
  }
}
