import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { largestMagnitude, roundAway } from './round-away.js';
import { packTwoBits, twoBitsAt } from './two-bit-planes.js';

const f = Math.fround;
const SIZE = 256;
const BYTES = 66;
const D = 64;

/** Ternary values, two bits each in planes of 32, times a half scale `max|x|`: `x = d · (t − 1)`. Importance has no say. */
export const TQ2_0 = defineBlockType({
  name: 'TQ2_0',
  id: 35,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'TQ2_0',
  encodeRow(x, _importance, out) {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += BYTES) {
      const values = x.subarray(start, start + SIZE);
      const scale = largestMagnitude(values);
      const inverse = scale !== 0 ? f(1 / scale) : 0;
      writeHalf(out, at + D, scale);
      packTwoBits(
        Uint8Array.from(values, (value) => roundAway(f(value * inverse)) + 1),
        out,
        at,
      );
    }
  },
  decodeRow(bytes, out) {
    for (let start = 0, at = 0; start < out.length; start += SIZE, at += BYTES) {
      const scale = readHalf(bytes, at + D);
      for (let e = 0; e < SIZE; e++) out[start + e] = scale * (twoBitsAt(bytes, at, e) - 1);
    }
  },
});
