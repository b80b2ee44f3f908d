import { encodeAffineSuperBlock } from './affine-super-block.js';
import { defineBlockType } from './block-type.js';
import { readHalf } from './half.js';
import { pairAt } from './six-bit-pairs.js';

const f = Math.fround;
const SIZE = 256;
const BYTES = 144;
const PLAIN = { levels: 15, first: -1, step: 0.1, count: 20 };
const WEIGHTED = { levels: 15, first: -0.9, step: 0.05, count: 36 };

/**
 * Super-blocks of 8 × 32 with 4-bit codes, 6-bit scales and minima, two half factors: `x = d · scale · c − dmin · min`.
 * Bytes: d, dmin, 12 of scales and minima, then 4 × 32 of codes (byte l of chunk c: elements 64c + l and 64c + 32 + l).
 */
export const Q4_K = defineBlockType({
  name: 'Q4_K',
  id: 12,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q4_K',
  encodeRow(x, importance, out) {
    for (let block = 0; block * SIZE < x.length; block++) {
      const [start, end, at] = [block * SIZE, (block + 1) * SIZE, block * BYTES];
      const { d, dmin, pairs, codes } = encodeAffineSuperBlock(x.subarray(start, end), importance?.subarray(start, end), PLAIN, WEIGHTED);
      out.set([d & 255, d >> 8, dmin & 255, dmin >> 8], at);
      out.set(pairs, at + 4);
      for (let chunk = 0; chunk < 4; chunk++)
        for (let l = 0; l < 32; l++) out[at + 16 + chunk * 32 + l] = codes[chunk * 64 + l] | (codes[chunk * 64 + 32 + l] << 4);
    }
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const at = block * BYTES;
      const [d, dmin] = [readHalf(bytes, at), readHalf(bytes, at + 2)];
      for (let j = 0; j < 8; j++) {
        const pair = pairAt(bytes, at + 4, j);
        const [scale, min] = [f(d * pair.scale), f(dmin * pair.min)];
        for (let l = 0; l < 32; l++) {
          const code = (bytes[at + 16 + (j >> 1) * 32 + l] >> (j & 1 ? 4 : 0)) & 15;
          out[block * SIZE + j * 32 + l] = f(scale * code) - min;
        }
      }
    }
  },
});
