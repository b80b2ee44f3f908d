import { searchByDescent } from '../search/descent.js';
import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { searchSymmetric } from '../search/symmetric.js';
import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { nearestCode, nearestInt } from './nearest-int.js';
import { packTwoBits, twoBitsAt } from './two-bit-planes.js';

const f = Math.fround;
const SIZE = 256;
const SUB_SIZE = 16;
const SUB_BLOCKS = 16;
const BYTES = 110;
const [LOW, SCALES, D] = [32, 96, 108];

/**
 * Super-blocks of 16 × 16 with 3-bit codes, 6-bit scales and a half factor: `x = d · (scale − 32) · (c − 4)`.
 * Bytes: 32 of third bits (bit j of byte l: element 32j + l), 64 of low bits in planes of 32, 12 of scales, d.
 */
export const Q3_K = defineBlockType({
  name: 'Q3_K',
  id: 11,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q3_K',
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
      const d = readHalf(bytes, at + D);
      for (let e = 0; e < SIZE; e++) {
        const code = twoBitsAt(bytes, at + LOW, e) | (((bytes[at + (e & 31)] >> (e >> 5)) & 1) << 2);
        out[block * SIZE + e] = f(d * (scaleAt(bytes, at + SCALES, e >> 4) - 32)) * (code - 4);
      }
    }
  },
});

function encodeBlock(x: Float32Array, importance: Float32Array | undefined, out: Uint8Array): void {
  const codes = new Uint8Array(SIZE);
  const subScales = new Float32Array(SUB_BLOCKS);
  const subWeights = new Float32Array(SUB_BLOCKS);
  const sigma2 = importance ? f(f(2 * sumOfSquares(x)) / SIZE) : 0;
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const [start, end] = [j * SUB_SIZE, (j + 1) * SUB_SIZE];
    const [values, found] = [x.subarray(start, end), codes.subarray(start, end)];
    if (importance) {
      const weights = weighByImportance(values, importance.subarray(start, end), sigma2);
      for (const weight of weights) subWeights[j] += weight;
      subScales[j] = searchSymmetric(values, weights, 4, found);
    } else subScales[j] = searchByDescent(values, 4, found);
  }
  const scales = new Uint8Array(SUB_BLOCKS);
  const factor = importance ? searchSymmetric(subScales, subWeights, 32, scales) : plainSixBits(subScales, scales);
  out.fill(0);
  writeHalf(out, D, factor);
  packScales(scales, out, SCALES);
  const d = readHalf(out, D);
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const scale = f(d * (scales[j] - 32));
    if (scale === 0) continue;
    for (let i = j * SUB_SIZE; i < (j + 1) * SUB_SIZE; i++) codes[i] = nearestCode(f(x[i] / scale), -4, 3) + 4;
  }
  for (let e = 0; e < SIZE; e++) out[e & 31] |= (codes[e] >> 2) << (e >> 5);
  packTwoBits(
    codes.map((code) => code & 3),
    out,
    LOW,
  );
}

/** Codes `0 … 63` against the scale of largest magnitude, which becomes −32 exactly; all 0 where there is none. */
function plainSixBits(subScales: Float32Array, scales: Uint8Array): number {
  let [max, magnitude] = [0, 0];
  for (const scale of subScales)
    if (Math.abs(scale) > magnitude) {
      magnitude = Math.abs(scale);
      max = scale;
    }
  if (max === 0) return 0;
  const inverse = f(-32 / max);
  subScales.forEach((scale, j) => {
    scales[j] = Math.max(-32, Math.min(31, (nearestInt(f(inverse * scale)) << 24) >> 24)) + 32;
  });
  return f(1 / inverse);
}

/** Sixteen 6-bit numbers: low nibbles of 0-7 and 8-15 in the nibbles of bytes 0-7, top pairs of j in byte 8 + j mod 4 at bits 2 · ⌊j / 4⌋. */
function packScales(scales: Uint8Array, out: Uint8Array, at: number): void {
  for (let j = 0; j < SUB_BLOCKS; j++) {
    out[at + (j & 7)] |= (scales[j] & 15) << (j < 8 ? 0 : 4);
    out[at + 8 + (j & 3)] |= (scales[j] >> 4) << (2 * (j >> 2));
  }
}

function scaleAt(bytes: Uint8Array, at: number, j: number): number {
  return ((bytes[at + (j & 7)] >> (j < 8 ? 0 : 4)) & 15) | (((bytes[at + 8 + (j & 3)] >> (2 * (j >> 2))) & 3) << 4);
}
