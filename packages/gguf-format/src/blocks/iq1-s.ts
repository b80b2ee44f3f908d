import { cumulatedSums, searchSplit } from '../search/ternary-split.js';
import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { decodeTernary, inTernaryBlocks, largestMagnitude, snapSplit, type TernarySubBlock } from './iq1.js';
import { nearestCode } from './nearest-int.js';

const f = Math.fround;
const [SIZE, SUB_SIZE, BYTES] = [256, 32, 50];
const [POINTS, HIGH] = [2, 34];
const ZERO_BELOW = f(1e-12);
/** Both halves up, or both down. */
const SAME_SHIFTS = [0, 3];

/**
 * 2048 points of eight ternary elements, a 3-bit scale and a shift for 32: `x = d · (2 scale + 1) · (level ± ⅛)`. Bytes: d, 32 of points, 8 words of their top
 * bits (four times three), the scale and the sign of the shift.
 */
export const IQ1_S = defineBlockType({
  name: 'IQ1_S',
  id: 19,
  blockSize: SIZE,
  blockBytes: BYTES,
  needsImportance: true,
  wasmSuffix: 'IQ1_S',
  encodeRow: inTernaryBlocks(BYTES, encodeBlock),
  decodeRow(bytes, out) {
    for (let k = 0; k * 8 < out.length; k++) {
      const block = bytes.subarray((k >> 5) * BYTES);
      const [j, part] = [(k & 31) >> 2, k & 3];
      const word = block[HIGH + 2 * j] | (block[HIGH + 2 * j + 1] << 8);
      const factor = f(readHalf(block, 0) * (2 * ((word >> 12) & 7) + 1));
      const point = block[POINTS + (k & 31)] | (((word >> (3 * part)) & 7) << 8);
      decodeTernary(point, word >> 15 === 1, factor, out.subarray(k * 8, k * 8 + 8));
    }
  },
});

function encodeBlock(x: Float32Array, weights: Float32Array, out: Uint8Array): void {
  const subBlocks = Array.from({ length: SIZE / SUB_SIZE }, (_, j): TernarySubBlock | undefined => {
    const [values, w] = [x.subarray(j * SUB_SIZE, (j + 1) * SUB_SIZE), weights.subarray(j * SUB_SIZE, (j + 1) * SUB_SIZE)];
    const split = largestMagnitude(values) < ZERO_BELOW ? undefined : searchSplit(values, w, SAME_SHIFTS, cumulatedSums);
    return split && snapSplit(split, values, w);
  });
  const largest = Math.max(0, ...subBlocks.map((subBlock) => subBlock?.scale ?? 0));
  const d = f(largest / 15);
  const inverse = f(1 / d);
  out.fill(0);
  for (const [j, { scale, points, shift } = { scale: 0, points: [], shift: 0 }] of subBlocks.entries()) {
    const code = largest > 0 ? nearestCode(f(0.5 * f(f(inverse * scale) - 1)), 0, 7) | (shift === 3 ? 8 : 0) : 0;
    const word = points.reduce((high, point, part) => high | ((point >> 8) << (3 * part)), code << 12);
    for (const [part, point] of points.entries()) out[POINTS + 4 * j + part] = point & 255;
    out[HIGH + 2 * j] = word & 255;
    out[HIGH + 2 * j + 1] = word >> 8;
  }
  writeHalf(out, 0, largest > 0 ? f(d * 1.125) : 0);
}
