import { defineBlockType } from './block-type.js';
import { E2M1_DOUBLED, nearestE2m1 } from './e2m1.js';
import { largestMagnitude } from './round-away.js';

const f = Math.fround;
const SIZE = 64;
const SUB_SIZE = 16;
const BYTES = 36;
const CODES = 4;
const BITS = new DataView(new ArrayBuffer(4));

/**
 * E2M1 codes with an unsigned E4M3 scale for each 16: `x = e2m1(c) · scale`, four scales `max|x| / 6` and then 8 bytes of codes for each;
 * byte j of a sub-block holds its elements j and j + 8. Importance has no say.
 */
export const NVFP4 = defineBlockType({
  name: 'NVFP4',
  id: 40,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'NVFP4',
  encodeRow(x, _importance, out) {
    for (let block = 0; block * SIZE < x.length; block++)
      for (let s = 0; s < 4; s++) {
        const values = x.subarray(block * SIZE + s * SUB_SIZE, block * SIZE + (s + 1) * SUB_SIZE);
        const pattern = toUe4m3(f(largestMagnitude(values) / 6));
        const scale = halfUe4m3(pattern);
        const at = block * BYTES;
        out[at + s] = pattern;
        for (let j = 0; j < 8; j++) out[at + CODES + s * 8 + j] = nearestE2m1(values[j], scale) | (nearestE2m1(values[j + 8], scale) << 4);
      }
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++)
      for (let s = 0; s < 4; s++) {
        const [start, at] = [block * SIZE + s * SUB_SIZE, block * BYTES];
        const scale = halfUe4m3(bytes[at + s]);
        for (let j = 0; j < 8; j++) {
          const byte = bytes[at + CODES + s * 8 + j];
          out[start + j] = E2M1_DOUBLED[byte & 15] * scale;
          out[start + j + 8] = E2M1_DOUBLED[byte >> 4] * scale;
        }
      }
  },
});

/** Four bits of exponent (bias 7) and three of mantissa, halves up; 448 from 248 on, 0 for what is not positive. */
function toUe4m3(value: number): number {
  if (!(value > 0)) return 0;
  BITS.setFloat32(0, value);
  const bits = BITS.getUint32(0);
  const exponent = (bits >>> 23) - 120;
  if (exponent <= 0) return Math.min(7, Math.trunc(f(f(value * 512) + 0.5)));
  const pattern = (exponent << 3) + ((((bits >>> 19) & 15) + 1) >> 1);
  return pattern < 0x78 ? pattern : 0x7e;
}

/** Half the value of a pattern, because the codes' values are doubled; 0x7f stands for 0. */
function halfUe4m3(pattern: number): number {
  const [exponent, mantissa] = [(pattern >> 3) & 15, pattern & 7];
  if (pattern === 0x7f) return 0;
  return exponent === 0 ? mantissa * 2 ** -10 : (1 + mantissa / 8) * 2 ** (exponent - 8);
}
