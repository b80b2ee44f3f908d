import { CODEBOOKS } from '../codebooks/codebooks.js';
import { defineCodebookBlock } from './codebook-block.js';
import { readHalf } from './half.js';
import { evenSigns } from './signs.js';

const f = Math.fround;
const [POINTS, WORDS] = [2, 66];
/** What the decoder multiplies by for a level, in quarters. */
const VALUES = Uint8Array.of(4, 12, 20, 28, 36, 44, 52, 62);

/**
 * 256 points of four elements, a 4-bit scale for 32: `x = ± d · (scale + ½) / 2 · value`. Bytes: d, 64 of points, 8 words of four times seven signs and the scale.
 */
export const IQ3_XXS = defineCodebookBlock({
  name: 'IQ3_XXS',
  id: 18,
  blockBytes: 98,
  sigma: 2,
  fudge: 1.0125,
  search: {
    codebook: CODEBOOKS.IQ3_XXS,
    size: 32,
    trials: 15,
    step: 0.2,
    reach: 'largest',
    evenSigns: true,
    zeroBelow: f(1e-8),
    again: 'off grid',
  },
  pack(subBlocks, scales, out) {
    // ggml clears all when no scale is left.
    if (subBlocks.every((subBlock) => !subBlock?.scale)) return;
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (const [j, { points, signs } = { points: [], signs: [] }] of subBlocks.entries()) {
      out.set(points, POINTS + 8 * j);
      view.setUint32(WORDS + 4 * j, signs.reduce((word, bits, k) => word | (bits << (7 * k)), scales[j] << 28) >>> 0, true);
    }
  },
  decodeBlock(block, out) {
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    const d = readHalf(block, 0);
    const { points } = CODEBOOKS.IQ3_XXS();
    for (let e = 0; e < 256; e++) {
      const word = view.getUint32(WORDS + 4 * (e >> 5), true);
      const factor = f(f(d * (0.5 + (word >>> 28))) * 0.5);
      const size = f(factor * VALUES[points[4 * block[POINTS + (e >> 2)] + (e & 3)]]);
      const signs = evenSigns((word >>> (7 * ((e >> 3) & 3))) & 127);
      out[e] = (signs >> (e & 7)) & 1 ? -size : size;
    }
  },
});
