import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { NON_LINEAR_VALUES, nearestNonLinear, searchNonLinear } from '../search/non-linear.js';
import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { nearestCode } from './nearest-int.js';

const f = Math.fround;
const SIZE = 256;
const SUB_SIZE = 32;
const SUB_BLOCKS = 8;
const BYTES = 136;
const [HIGH, LOW, CODES] = [2, 4, 8];

/**
 * Super-blocks of 8 × 32 with the codes of IQ4_NL, 6-bit scales and a half factor: `x = d · (scale − 32) · value(c)`.
 * Bytes: d, a word with the top two bits of the scales, 4 of low nibbles of the scales, then 16 of codes for each sub-block.
 */
export const IQ4_XS = defineBlockType({
  name: 'IQ4_XS',
  id: 23,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'IQ4_XS',
  encodeRow(x, importance, out) {
    for (let block = 0; block * SIZE < x.length; block++)
      encodeBlock(
        x.subarray(block * SIZE, (block + 1) * SIZE),
        importance?.subarray(block * SIZE, (block + 1) * SIZE),
        out.subarray(block * BYTES, (block + 1) * BYTES),
      );
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const at = block * BYTES;
      const d = readHalf(bytes, at);
      for (let j = 0; j < SUB_BLOCKS; j++) {
        const low = (bytes[at + LOW + (j >> 1)] >> (j & 1 ? 4 : 0)) & 15;
        const high = (bytes[at + HIGH + (j >> 2)] >> (2 * (j & 3))) & 3;
        const scale = f(d * ((low | (high << 4)) - 32));
        for (let i = 0; i < SUB_SIZE; i++) {
          const code = (bytes[at + CODES + j * 16 + (i & 15)] >> (i < 16 ? 0 : 4)) & 15;
          out[block * SIZE + j * SUB_SIZE + i] = scale * NON_LINEAR_VALUES[code];
        }
      }
    }
  },
});

function encodeBlock(x: Float32Array, importance: Float32Array | undefined, out: Uint8Array): void {
  const sigma2 = importance ? f(sumOfSquares(x) * (2 / SIZE)) : 0;
  const subScales = new Float32Array(SUB_BLOCKS);
  let [max, magnitude] = [0, 0];
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const [start, end] = [j * SUB_SIZE, (j + 1) * SUB_SIZE];
    const values = x.subarray(start, end);
    const weights = importance ? weighByImportance(values, importance.subarray(start, end), sigma2) : values.map((value) => value * value);
    subScales[j] = searchNonLinear(values, weights);
    if (Math.abs(subScales[j]) > magnitude) {
      magnitude = Math.abs(subScales[j]);
      max = subScales[j];
    }
  }
  out.fill(0);
  const d = f(-max / 32);
  const inverse = d !== 0 ? f(1 / d) : 0;
  writeHalf(out, 0, d);
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const scale = nearestCode(f(inverse * subScales[j]), -32, 31);
    out[LOW + (j >> 1)] |= ((scale + 32) & 15) << (j & 1 ? 4 : 0);
    out[HIGH + (j >> 2)] |= ((scale + 32) >> 4) << (2 * (j & 3));
    // Unlike in the other super-blocks, the codes are taken against the factor before it is rounded to half precision.
    const step = f(d * scale);
    const inverseStep = step !== 0 ? f(1 / step) : 0;
    const code = (i: number) => nearestNonLinear(f(inverseStep * x[j * SUB_SIZE + i]));
    for (let i = 0; i < 16; i++) out[CODES + j * 16 + i] = code(i) | (code(i + 16) << 4);
  }
}
