import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { encodeAffineBlocks } from './plain-affine.js';

const f = Math.fround;
const SIZE = 32;
const BYTES = 24;

/** A half scale, a half minimum, a word with the fifth bits (bit e of element e), and 32 nibbles as in Q4_1: `x = d · c + m`. */
export const Q5_1 = defineBlockType({
  name: 'Q5_1',
  id: 7,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q5_1',
  encodeRow(x, importance, out) {
    encodeAffineBlocks(x, importance, 31, (block, scale, min, codes) => {
      const at = block * BYTES;
      writeHalf(out, at, scale);
      writeHalf(out, at + 2, min);
      out.fill(0, at + 4, at + 8);
      for (let e = 0; e < SIZE; e++) out[at + 4 + (e >> 3)] |= (codes[e] >> 4) << (e & 7);
      for (let j = 0; j < 16; j++) out[at + 8 + j] = (codes[j] & 15) | ((codes[j + 16] & 15) << 4);
    });
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const at = block * BYTES;
      const [scale, min] = [readHalf(bytes, at), readHalf(bytes, at + 2)];
      for (let e = 0; e < SIZE; e++) {
        const high = (bytes[at + 4 + (e >> 3)] >> (e & 7)) & 1;
        const low = (bytes[at + 8 + (e & 15)] >> (e < 16 ? 0 : 4)) & 15;
        out[block * SIZE + e] = f(scale * (low | (high << 4))) + min;
      }
    }
  },
});
