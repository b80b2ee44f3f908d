import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { NON_LINEAR_VALUES, nearestNonLinear, searchNonLinear } from '../search/non-linear.js';
import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';

const f = Math.fround;
const SIZE = 32;
const BYTES = 18;

/** A half scale and 32 4-bit codes of unevenly spaced values: `x = d · value(c)`; byte j holds elements j and j + 16. */
export const IQ4_NL = defineBlockType({
  name: 'IQ4_NL',
  id: 20,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'IQ4_NL',
  encodeRow(x, importance, out) {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += BYTES) {
      const values = x.subarray(start, start + SIZE);
      const weights = importance
        ? weighByImportance(values, importance.subarray(start, start + SIZE), f(sumOfSquares(values) * (2 / SIZE)))
        : values.map((value) => value * value);
      const scale = searchNonLinear(values, weights);
      const inverse = scale !== 0 ? f(1 / scale) : 0;
      const code = (i: number) => nearestNonLinear(f(inverse * values[i]));
      writeHalf(out, at, scale);
      for (let j = 0; j < 16; j++) out[at + 2 + j] = code(j) | (code(j + 16) << 4);
    }
  },
  decodeRow(bytes, out) {
    for (let start = 0, at = 0; start < out.length; start += SIZE, at += BYTES) {
      const scale = readHalf(bytes, at);
      for (let j = 0; j < 16; j++) {
        out[start + j] = scale * NON_LINEAR_VALUES[bytes[at + 2 + j] & 15];
        out[start + j + 16] = scale * NON_LINEAR_VALUES[bytes[at + 2 + j] >> 4];
      }
    }
  },
});
