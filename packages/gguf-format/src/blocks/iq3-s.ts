import { CODEBOOKS } from '../codebooks/codebooks.js';
import { defineCodebookBlock } from './codebook-block.js';
import { readHalf } from './half.js';

const f = Math.fround;
const [POINTS, HIGH, SIGNS, SCALES] = [2, 66, 74, 106];

/**
 * 512 points of four elements, a 4-bit scale for 32: `x = ± d · (2 scale + 1) · value`. Bytes: d, 64 of points, 8 of the points' top bits, 32 of signs, 4 of
 * scales, the lower nibble first.
 */
export const IQ3_S = defineCodebookBlock({
  name: 'IQ3_S',
  id: 21,
  blockBytes: 110,
  sigma: 2,
  fudge: 1.033,
  search: {
    codebook: CODEBOOKS.IQ3_S,
    size: 32,
    trials: 9,
    step: 0.2,
    reach: 'largest',
    evenSigns: false,
    zeroBelow: 0,
    again: 'all if any off grid',
  },
  pack(subBlocks, scales, out) {
    let written = 0;
    for (const [j, subBlock] of subBlocks.entries()) {
      out[SCALES + (j >> 1)] |= scales[j] << (4 * (j & 1));
      // ggml leaves out the places of a sub-block of zeros, so that points and signs (but not top bits and scales) of the later ones move forward.
      if (!subBlock) continue;
      for (const [k, point] of subBlock.points.entries()) {
        out[POINTS + 8 * written + k] = point & 255;
        out[HIGH + j] |= (point >> 8) << k;
      }
      out.set(subBlock.signs, SIGNS + 4 * written);
      written++;
    }
  },
  decodeBlock(block, out) {
    const d = readHalf(block, 0);
    const { points } = CODEBOOKS.IQ3_S();
    for (let e = 0; e < 256; e++) {
      const scale = (block[SCALES + (e >> 6)] >> (4 * ((e >> 5) & 1))) & 15;
      const point = block[POINTS + (e >> 2)] | (((block[HIGH + (e >> 5)] >> ((e >> 2) & 7)) & 1) << 8);
      const size = f(f(d * (1 + 2 * scale)) * (2 * points[4 * point + (e & 3)] + 1));
      out[e] = (block[SIGNS + (e >> 3)] >> (e & 7)) & 1 ? -size : size;
    }
  },
});
