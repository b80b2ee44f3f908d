import { CODEBOOKS } from '../codebooks/codebooks.js';
import { directSums, SHIFTS, searchSplit } from '../search/ternary-split.js';
import { defineBlockType } from './block-type.js';
import { fromHalf, toHalf } from './half.js';
import { decodeTernary, inTernaryBlocks, largestMagnitude, snapSplit, type TernarySubBlock } from './iq1.js';
import { nearestCode } from './nearest-int.js';

const f = Math.fround;
const [SIZE, SUB_SIZE, BYTES] = [256, 16, 56];
const [HIGH, SCALES] = [32, 48];
const ZERO_BELOW = f(1e-7);
const ALL_SHIFTS = [0, 1, 2, 3];
const NOTHING: TernarySubBlock = { scale: 0, points: [0, 0], shift: 0 };

/**
 * 2048 points of eight ternary elements with a shift each, a 3-bit scale for 16: `x = d · (2 scale + 1) · (level ± ⅛)`. Bytes: 32 of points, 16 of nibbles with
 * their top bits and the sign of the shift, four words of four scales and a nibble of d.
 */
export const IQ1_M = defineBlockType({
  name: 'IQ1_M',
  id: 29,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'IQ1_M',
  encodeRow: inTernaryBlocks(BYTES, encodeBlock),
  decodeRow(bytes, out) {
    for (let k = 0; k * 8 < out.length; k++) {
      const block = bytes.subarray((k >> 5) * BYTES);
      const word = (n: number) => block[SCALES + 2 * n] | (block[SCALES + 2 * n + 1] << 8);
      const d = fromHalf((word(0) >> 12) | ((word(1) >> 12) << 4) | ((word(2) >> 12) << 8) | ((word(3) >> 12) << 12));
      const j = (k & 31) >> 1;
      const nibble = (block[HIGH + j] >> (4 * (k & 1))) & 15;
      const factor = f(d * (2 * ((word(j >> 2) >> (3 * (j & 3))) & 7) + 1));
      decodeTernary(block[k & 31] | ((nibble & 7) << 8), nibble > 7, factor, out.subarray(k * 8, k * 8 + 8));
    }
  },
});

function encodeBlock(x: Float32Array, weights: Float32Array, out: Uint8Array): void {
  const part = (of: Float32Array, j: number) => of.subarray(j * SUB_SIZE, (j + 1) * SUB_SIZE);
  const subBlocks = Array.from({ length: SIZE / SUB_SIZE }, (_, j): TernarySubBlock => {
    const [values, w] = [part(x, j), part(weights, j)];
    const split = largestMagnitude(values) < ZERO_BELOW ? undefined : searchSplit(values, w, ALL_SHIFTS, directSums);
    return split ? snapSplit(split, values, w) : NOTHING;
  });
  const largest = Math.max(...subBlocks.map(({ scale }) => scale));
  let d = f(largest / 15);
  const inverse = f(1 / d);
  const words = [0, 0, 0, 0];
  let sumXq = 0;
  let sumQq = 0;
  for (const [j, { scale, points, shift }] of subBlocks.entries()) {
    for (const [k, point] of points.entries()) out[2 * j + k] = point & 255;
    out[HIGH + j] = (points[0] >> 8) | ((points[1] >> 8) << 4);
    if (!(largest > 0)) continue;
    const code = nearestCode(f(0.5 * f(f(inverse * scale) - 1)), 0, 7);
    words[j >> 2] |= code << (3 * (j & 3));
    out[HIGH + j] |= (shift & 2 ? 0x08 : 0) | (shift & 1 ? 0x80 : 0);
    // The factor is fitted to all elements, also to those of sub-blocks of zeros, which stand at point 0.
    const [values, w] = [part(x, j), part(weights, j)];
    for (let i = 0; i < SUB_SIZE; i++) {
      const level = CODEBOOKS.IQ1().points[points[i >> 3] * 8 + (i & 7)];
      const q = SHIFTS[shift][i >> 3][level] * (2 * code + 1);
      const wq = f(w[i] * q);
      sumXq = f(sumXq + f(wq * values[i]));
      sumQq = f(sumQq + f(wq * q));
    }
  }
  if (sumQq > 0) d = f(sumXq / sumQq);
  const half = largest > 0 ? toHalf(f(d * f(1.1125))) : 0;
  for (let n = 0; n < 4; n++) {
    const word = words[n] | (((half >> (4 * n)) & 15) << 12);
    out[SCALES + 2 * n] = word & 255;
    out[SCALES + 2 * n + 1] = word >> 8;
  }
}
