import { CODEBOOKS } from '../codebooks/codebooks.js';
import { decodeEight, defineCodebookBlock } from './codebook-block.js';
import { readHalf } from './half.js';
import { evenSigns } from './signs.js';

const f = Math.fround;
const SCALES = 66;

/**
 * 512 points of eight elements, a 4-bit scale for 16: `x = ± d · (scale + ½) / 4 · value`. Bytes: d, 32 words of a point's 9 bits and seven signs, 8 of scales, the
 * lower nibble first.
 */
export const IQ2_XS = defineCodebookBlock({
  name: 'IQ2_XS',
  id: 17,
  blockBytes: 74,
  needsImportance: true,
  sigma: 1,
  fudge: 1,
  search: {
    codebook: CODEBOOKS.IQ2_XS,
    size: 16,
    trials: 9,
    step: 0.1,
    reach: 'largest',
    evenSigns: true,
    zeroBelow: f(1e-15),
    again: 'off grid',
  },
  pack(subBlocks, scales, out) {
    // ggml clears all when no scale is left.
    if (subBlocks.every((subBlock) => !subBlock?.scale)) return;
    for (const [j, subBlock] of subBlocks.entries()) {
      out[SCALES + (j >> 1)] |= scales[j] << (4 * (j & 1));
      for (const [k, point] of (subBlock?.points ?? []).entries()) {
        const word = point | ((subBlock?.signs[k] ?? 0) << 9);
        out.set([word & 255, word >> 8], 2 + 4 * j + 2 * k);
      }
    }
  },
  decodeBlock(block, out) {
    const d = readHalf(block, 0);
    for (let k = 0; k < 32; k++) {
      const word = block[2 + 2 * k] | (block[3 + 2 * k] << 8);
      const scale = (block[SCALES + (k >> 2)] >> (2 * (k & 2))) & 15;
      const factor = f(f(d * (0.5 + scale)) * 0.25);
      decodeEight(CODEBOOKS.IQ2_XS(), word & 511, evenSigns(word >> 9), factor, out.subarray(k * 8, k * 8 + 8));
    }
  },
});
