import { CODEBOOKS } from '../codebooks/codebooks.js';
import { decodeEight, defineCodebookBlock } from './codebook-block.js';
import { readHalf } from './half.js';

const f = Math.fround;
const [POINTS, SIGNS, HIGH, SCALES] = [2, 34, 66, 74];

/**
 * 1024 points of eight elements, a 4-bit scale for 16: `x = ± d · (scale + ½) / 4 · value`. Bytes: d, 32 of points, 32 of signs, 8 of the points' top two bits, 8 of
 * scales, the lower nibble first.
 */
export const IQ2_S = defineCodebookBlock({
  name: 'IQ2_S',
  id: 22,
  blockBytes: 82,
  sigma: 2,
  plainSigma: 0.25,
  fudge: 0.9875,
  search: {
    codebook: CODEBOOKS.IQ2_S,
    size: 16,
    trials: 9,
    step: 0.1,
    reach: 'largest',
    evenSigns: false,
    zeroBelow: f(1e-8),
    again: 'off grid',
  },
  pack(subBlocks, scales, out) {
    for (const [j, subBlock] of subBlocks.entries()) {
      out[SCALES + (j >> 1)] |= scales[j] << (4 * (j & 1));
      for (const [k, point] of (subBlock?.points ?? []).entries()) {
        const at = 2 * j + k;
        out[POINTS + at] = point & 255;
        out[SIGNS + at] = subBlock?.signs[k] ?? 0;
        out[HIGH + (at >> 2)] |= (point >> 8) << (2 * (at & 3));
      }
    }
  },
  decodeBlock(block, out) {
    const d = readHalf(block, 0);
    for (let k = 0; k < 32; k++) {
      const point = block[POINTS + k] | (((block[HIGH + (k >> 2)] >> (2 * (k & 3))) & 3) << 8);
      const scale = (block[SCALES + (k >> 2)] >> (2 * (k & 2))) & 15;
      const factor = f(f(d * (0.5 + scale)) * 0.25);
      decodeEight(CODEBOOKS.IQ2_S(), point, block[SIGNS + k], factor, out.subarray(k * 8, k * 8 + 8));
    }
  },
});
