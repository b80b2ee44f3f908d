import { defineBlockType } from './block-type.js';
import { E2M1_DOUBLED, nearestE2m1 } from './e2m1.js';
import { largestMagnitude } from './round-away.js';

const f = Math.fround;
const SIZE = 32;
const BYTES = 17;

/**
 * 32 E2M1 codes times a power of two, after the OCP Microscaling specification: `x = e2m1(c) · 2^(e − 127)`, `e = ⌊log2 max|x|⌋ − 2 + 127`;
 * byte j of the codes holds elements j and j + 16. Importance has no say.
 */
export const MXFP4 = defineBlockType({
  name: 'MXFP4',
  id: 39,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'MXFP4',
  encodeRow(x, _importance, out) {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += BYTES) {
      const largest = largestMagnitude(x.subarray(start, start + SIZE));
      // The logarithm rounds to f32, and so just below some powers of two up to the next integer. Exponents below 0 wrap around.
      const exponent = largest > 0 ? (Math.floor(f(Math.log2(largest))) - 2 + 127) & 255 : 0;
      const scale = halfPowerOfTwo(exponent);
      out[at] = exponent;
      for (let j = 0; j < 16; j++) out[at + 1 + j] = nearestE2m1(x[start + j], scale) | (nearestE2m1(x[start + j + 16], scale) << 4);
    }
  },
  decodeRow(bytes, out) {
    for (let start = 0, at = 0; start < out.length; start += SIZE, at += BYTES) {
      const scale = halfPowerOfTwo(bytes[at]);
      for (let j = 0; j < 16; j++) {
        out[start + j] = E2M1_DOUBLED[bytes[at + 1 + j] & 15] * scale;
        out[start + j + 16] = E2M1_DOUBLED[bytes[at + 1 + j] >> 4] * scale;
      }
    }
  },
});

/** Half the value of an E8M0 exponent, because the codes' values are doubled. */
function halfPowerOfTwo(exponent: number): number {
  return 2 ** (exponent - 128);
}
