import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { largestMagnitude, roundAway } from './round-away.js';

const f = Math.fround;
const SIZE = 64;
const BYTES = 18;

/**
 * 64 two-bit codes, four neighbours to a byte, times a half scale `max|x|`: `x = d · (c − 1)`. The encoder uses the codes 0, 1 and 2 alone.
 * Importance has no say.
 */
export const Q2_0 = defineBlockType({
  name: 'Q2_0',
  id: 42,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q2_0',
  encodeRow(x, _importance, out) {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += BYTES) {
      const scale = largestMagnitude(x.subarray(start, start + SIZE));
      const inverse = scale > 0 ? f(1 / scale) : 0;
      writeHalf(out, at, scale);
      out.fill(0, at + 2, at + BYTES);
      // A scale so small that its inverse is infinite leaves the lowest code everywhere.
      if (!Number.isFinite(inverse)) continue;
      for (let i = 0; i < SIZE; i++) out[at + 2 + (i >> 2)] |= (roundAway(f(x[start + i] * inverse)) + 1) << (2 * (i & 3));
    }
  },
  decodeRow(bytes, out) {
    for (let start = 0, at = 0; start < out.length; start += SIZE, at += BYTES) {
      const scale = readHalf(bytes, at);
      for (let i = 0; i < SIZE; i++) out[start + i] = scale * (((bytes[at + 2 + (i >> 2)] >> (2 * (i & 3))) & 3) - 1);
    }
  },
});
