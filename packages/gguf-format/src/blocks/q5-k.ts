import { encodeAffineSuperBlock } from './affine-super-block.js';
import { defineBlockType } from './block-type.js';
import { readHalf } from './half.js';
import { pairAt } from './six-bit-pairs.js';

const f = Math.fround;
const SIZE = 256;
const BYTES = 176;
const [PAIRS, HIGH, LOW] = [4, 16, 48];
const PLAIN = { levels: 31, first: -0.5, step: 0.1, count: 15 };
const WEIGHTED = { levels: 31, first: -0.9, step: 0.05, count: 36 };

/**
 * Q4_K with 5-bit codes: d, dmin, 12 bytes of scales and minima, 32 bytes of fifth bits (bit j of byte l: element 32j + l), then the low nibbles as in Q4_K.
 */
export const Q5_K = defineBlockType({
  name: 'Q5_K',
  id: 13,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q5_K',
  encodeRow(x, importance, out) {
    for (let block = 0; block * SIZE < x.length; block++) {
      const [start, end, at] = [block * SIZE, (block + 1) * SIZE, block * BYTES];
      const { d, dmin, pairs, codes } = encodeAffineSuperBlock(x.subarray(start, end), importance?.subarray(start, end), PLAIN, WEIGHTED);
      out.fill(0, at, at + BYTES);
      out.set([d & 255, d >> 8, dmin & 255, dmin >> 8], at);
      out.set(pairs, at + PAIRS);
      for (let e = 0; e < SIZE; e++) {
        const [j, l] = [e >> 5, e & 31];
        out[at + HIGH + l] |= (codes[e] >> 4) << j;
        out[at + LOW + (j >> 1) * 32 + l] |= (codes[e] & 15) << (j & 1 ? 4 : 0);
      }
    }
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const at = block * BYTES;
      const [d, dmin] = [readHalf(bytes, at), readHalf(bytes, at + 2)];
      for (let j = 0; j < 8; j++) {
        const pair = pairAt(bytes, at + PAIRS, j);
        const [scale, min] = [f(d * pair.scale), f(dmin * pair.min)];
        for (let l = 0; l < 32; l++) {
          const low = (bytes[at + LOW + (j >> 1) * 32 + l] >> (j & 1 ? 4 : 0)) & 15;
          const high = (bytes[at + HIGH + l] >> j) & 1;
          out[block * SIZE + j * 32 + l] = f(scale * (low | (high << 4))) - min;
        }
      }
    }
  },
});
