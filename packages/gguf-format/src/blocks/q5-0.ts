import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { encodeSymmetricBlocks } from './plain-symmetric.js';

const SIZE = 32;
const BYTES = 22;

/** A half scale, a word with the fifth bits (bit e of element e), and 32 nibbles as in Q4_0: `x = d · (c − 16)`. */
export const Q5_0 = defineBlockType({
  name: 'Q5_0',
  id: 6,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q5_0',
  encodeRow(x, importance, out) {
    encodeSymmetricBlocks(x, importance, 16, (block, scale, codes) => {
      const at = block * BYTES;
      writeHalf(out, at, scale);
      out.fill(0, at + 2, at + 6);
      for (let e = 0; e < SIZE; e++) out[at + 2 + (e >> 3)] |= (codes[e] >> 4) << (e & 7);
      for (let j = 0; j < 16; j++) out[at + 6 + j] = (codes[j] & 15) | ((codes[j + 16] & 15) << 4);
    });
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const at = block * BYTES;
      const scale = readHalf(bytes, at);
      for (let e = 0; e < SIZE; e++) {
        const high = (bytes[at + 2 + (e >> 3)] >> (e & 7)) & 1;
        const low = (bytes[at + 6 + (e & 15)] >> (e < 16 ? 0 : 4)) & 15;
        out[block * SIZE + e] = scale * ((low | (high << 4)) - 16);
      }
    }
  },
});
