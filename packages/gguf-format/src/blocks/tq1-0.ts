import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { largestMagnitude, roundAway } from './round-away.js';

const f = Math.fround;
const SIZE = 256;
const BYTES = 54;
const D = 52;

/** Runs of bytes that hold five digits each, `stride` elements apart: first byte, number of bytes, first element, digits in use. */
const RUNS = [
  { byte: 0, count: 32, element: 0, digits: 5 },
  { byte: 32, count: 16, element: 160, digits: 5 },
  { byte: 48, count: 4, element: 240, digits: 4 },
] as const;

/**
 * Ternary values times a half scale `max|x|`: `x = d · (t − 1)`. Five base-3 digits t per byte, the first element most significant, stored as
 * `⌈256 q / 243⌉`, so that multiplying by 3 brings out one digit after the other. Importance has no say.
 */
export const TQ1_0 = defineBlockType({
  name: 'TQ1_0',
  id: 34,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'TQ1_0',
  encodeRow(x, _importance, out) {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += BYTES) {
      const scale = largestMagnitude(x.subarray(start, start + SIZE));
      const inverse = scale !== 0 ? f(1 / scale) : 0;
      writeHalf(out, at + D, scale);
      for (const { byte, count, element, digits } of RUNS)
        for (let m = 0; m < count; m++) {
          let q = 0;
          for (let n = 0; n < 5; n++) q = q * 3 + (n < digits ? roundAway(f(x[start + element + m + n * count] * inverse)) + 1 : 0);
          out[at + byte + m] = Math.ceil((q * 256) / 243);
        }
    }
  },
  decodeRow(bytes, out) {
    for (let start = 0, at = 0; start < out.length; start += SIZE, at += BYTES) {
      const scale = readHalf(bytes, at + D);
      for (const { byte, count, element, digits } of RUNS)
        for (let m = 0; m < count; m++) {
          let q = bytes[at + byte + m];
          for (let n = 0; n < digits; n++) {
            out[start + element + m + n * count] = scale * (((q * 3) >> 8) - 1);
            q = (q * 3) & 255;
          }
        }
    }
  },
});
