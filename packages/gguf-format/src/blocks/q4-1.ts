import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { encodeAffineBlocks } from './plain-affine.js';

const f = Math.fround;
const SIZE = 32;
const BYTES = 20;

/** A half scale, a half minimum and 32 4-bit codes: `x = d · c + m`; byte j holds elements j and j + 16. */
export const Q4_1 = defineBlockType({
  name: 'Q4_1',
  id: 3,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q4_1',
  encodeRow(x, importance, out) {
    encodeAffineBlocks(x, importance, 15, (block, scale, min, codes) => {
      const at = block * BYTES;
      writeHalf(out, at, scale);
      writeHalf(out, at + 2, min);
      for (let j = 0; j < 16; j++) out[at + 4 + j] = codes[j] | (codes[j + 16] << 4);
    });
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const at = block * BYTES;
      const [scale, min] = [readHalf(bytes, at), readHalf(bytes, at + 2)];
      for (let j = 0; j < 16; j++) {
        const byte = bytes[at + 4 + j];
        out[block * SIZE + j] = f(scale * (byte & 15)) + min;
        out[block * SIZE + j + 16] = f(scale * (byte >> 4)) + min;
      }
    }
  },
});
