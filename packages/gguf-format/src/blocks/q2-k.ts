import { type AffineTrials, searchAffine } from '../search/affine.js';
import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { searchPositive } from '../search/positive.js';
import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { nearestCode, nearestInt } from './nearest-int.js';
import { packTwoBits, twoBitsAt } from './two-bit-planes.js';

const f = Math.fround;
const SIZE = 256;
const SUB_SIZE = 16;
const SUB_BLOCKS = 16;
const BYTES = 84;
const [CODES, D, D_MIN] = [16, 80, 82];
const PLAIN: AffineTrials = { levels: 3, first: -0.5, step: 0.1, count: 15, absolute: true };
const WEIGHTED: AffineTrials = { levels: 3, first: -0.9, step: 0.05, count: 36 };

/**
 * Super-blocks of 16 × 16 with 2-bit codes, 4-bit scales and minima, two half factors: `x = d · scale · c − dmin · min`.
 * Bytes: 16 of scales (low nibble) and minima, 64 of codes in planes of 32, d, dmin. The weight of an element is |x|, or importance · √(σ² + x²).
 */
export const Q2_K = defineBlockType({
  name: 'Q2_K',
  id: 10,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q2_K',
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
      const [d, dmin] = [readHalf(bytes, at + D), readHalf(bytes, at + D_MIN)];
      for (let e = 0; e < SIZE; e++) {
        const pair = bytes[at + (e >> 4)];
        out[block * SIZE + e] = f(f(d * (pair & 15)) * twoBitsAt(bytes, at + CODES, e)) - f(dmin * (pair >> 4));
      }
    }
  },
});

function encodeBlock(x: Float32Array, importance: Float32Array | undefined, out: Uint8Array): void {
  const codes = new Uint8Array(SIZE);
  const subScales = new Float32Array(SUB_BLOCKS);
  const subMins = new Float32Array(SUB_BLOCKS);
  const subWeights = new Float32Array(SUB_BLOCKS);
  const sigma2 = importance ? f(sumOfSquares(x) / SIZE) : 0;
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const [start, end] = [j * SUB_SIZE, (j + 1) * SUB_SIZE];
    const values = x.subarray(start, end);
    const weights = importance ? weighByImportance(values, importance.subarray(start, end), sigma2) : values.map(Math.abs);
    for (const weight of weights) subWeights[j] += weight;
    const { scale, min } = searchAffine(values, weights, importance ? WEIGHTED : PLAIN, codes.subarray(start, end));
    subScales[j] = scale;
    subMins[j] = min;
  }
  const quantize = importance ? (of: Float32Array) => searchedFourBits(of, subWeights) : plainFourBits;
  const [scales, mins] = [quantize(subScales), quantize(subMins)];
  writeHalf(out, D, scales.factor);
  writeHalf(out, D_MIN, mins.factor);
  const [d, dmin] = [readHalf(out, D), readHalf(out, D_MIN)];
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const pair = (scales.codes[j] | (mins.codes[j] << 4)) & 255;
    out[j] = pair;
    // The codes are taken anew against what the decoder will read; where its scale is zero, those of the search stay.
    const scale = f(d * (pair & 15));
    if (scale === 0) continue;
    const min = f(dmin * (pair >> 4));
    for (let i = j * SUB_SIZE; i < (j + 1) * SUB_SIZE; i++) codes[i] = nearestCode(f(f(x[i] + min) / scale), 0, 3);
  }
  packTwoBits(codes, out, CODES);
}

/** Codes against the largest value, not clamped. */
function plainFourBits(values: Float32Array): { factor: number; codes: Uint8Array } {
  let max = 0;
  for (const value of values) if (value > max) max = value;
  if (max === 0) return { factor: 0, codes: new Uint8Array(SUB_BLOCKS) };
  const inverse = f(15 / max);
  return { factor: f(max / 15), codes: Uint8Array.from(values, (value) => nearestInt(f(inverse * value))) };
}

function searchedFourBits(values: Float32Array, weights: Float32Array): { factor: number; codes: Uint8Array } {
  const codes = new Uint8Array(SUB_BLOCKS);
  return { factor: searchPositive(values, weights, 15, codes), codes };
}
