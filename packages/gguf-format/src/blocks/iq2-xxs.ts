import { CODEBOOKS } from '../codebooks/codebooks.js';
import { decodeEight, defineCodebookBlock } from './codebook-block.js';
import { readHalf } from './half.js';
import { evenSigns } from './signs.js';

const f = Math.fround;

/**
 * 256 points of eight elements, a 4-bit scale for 32: `x = ± d · (scale + ½) / 4 · value`. Bytes: d, then for each 32 elements four of points and a word of four
 * times seven signs and the scale.
 */
export const IQ2_XXS = defineCodebookBlock({
  name: 'IQ2_XXS',
  id: 16,
  blockBytes: 66,
  needsImportance: true,
  sigma: 1,
  fudge: 1,
  search: {
    codebook: CODEBOOKS.IQ2_XXS,
    size: 32,
    trials: 6,
    step: 0.1,
    reach: 'searched',
    evenSigns: true,
    zeroBelow: f(1e-15),
    again: 'all',
  },
  pack(subBlocks, scales, out) {
    // ggml clears all when no scale is left.
    if (subBlocks.every((subBlock) => !subBlock?.scale)) return;
    const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
    for (const [j, { points, signs } = { points: [], signs: [] }] of subBlocks.entries()) {
      out.set(points, 2 + 8 * j);
      view.setUint32(6 + 8 * j, signs.reduce((word, bits, k) => word | (bits << (7 * k)), scales[j] << 28) >>> 0, true);
    }
  },
  decodeBlock(block, out) {
    const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
    const d = readHalf(block, 0);
    for (let j = 0; j < 8; j++) {
      const word = view.getUint32(6 + 8 * j, true);
      const factor = f(f(d * (0.5 + (word >>> 28))) * 0.25);
      for (let k = 0; k < 4; k++)
        decodeEight(
          CODEBOOKS.IQ2_XXS(),
          block[2 + 8 * j + k],
          evenSigns((word >>> (7 * k)) & 127),
          factor,
          out.subarray(j * 32 + k * 8, j * 32 + k * 8 + 8),
        );
    }
  },
});
