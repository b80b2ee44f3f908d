import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { encodeSymmetricBlocks } from './plain-symmetric.js';

const SIZE = 32;
const BYTES = 18;

/** A half scale and 32 4-bit codes: `x = d · (c − 8)`; byte j holds elements j and j + 16. */
export const Q4_0 = defineBlockType({
  name: 'Q4_0',
  id: 2,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q4_0',
  encodeRow(x, importance, out) {
    encodeSymmetricBlocks(x, importance, 8, (block, scale, codes) => {
      const at = block * BYTES;
      writeHalf(out, at, scale);
      for (let j = 0; j < 16; j++) out[at + 2 + j] = codes[j] | (codes[j + 16] << 4);
    });
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const scale = readHalf(bytes, block * BYTES);
      for (let j = 0; j < 16; j++) {
        const byte = bytes[block * BYTES + 2 + j];
        out[block * SIZE + j] = scale * ((byte & 15) - 8);
        out[block * SIZE + j + 16] = scale * ((byte >> 4) - 8);
      }
    }
  },
});
