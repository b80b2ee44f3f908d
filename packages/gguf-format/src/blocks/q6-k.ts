import { searchSymmetric } from '../search/symmetric.js';
import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';
import { nearestCode, nearestInt } from './nearest-int.js';

const f = Math.fround;
const SIZE = 256;
const SUB_SIZE = 16;
const SUB_BLOCKS = 16;
const BYTES = 210;
const [QH, SCALES, D] = [128, 192, 208];
const ALL_ZERO = f(1e-15);

/**
 * Super-blocks of 16 × 16 with 6-bit codes, signed 8-bit scales and a half factor: `x = d · scale · (c − 32)`.
 * Bytes: 128 of low nibbles, 64 of top bit pairs, 16 scales, d. The weight of an element is x², or its importance alone.
 */
export const Q6_K = defineBlockType({
  name: 'Q6_K',
  id: 14,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q6_K',
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
        const { low, high } = placeOf(e);
        const code = ((bytes[at + low.byte] >> low.shift) & 15) | (((bytes[at + high.byte] >> high.shift) & 3) << 4);
        const scale = (bytes[at + SCALES + (e >> 4)] << 24) >> 24;
        out[block * SIZE + e] = f(d * scale) * (code - 32);
      }
    }
  },
});

function encodeBlock(x: Float32Array, importance: Float32Array | undefined, out: Uint8Array): void {
  const codes = new Uint8Array(SIZE);
  const scales = new Float32Array(SUB_BLOCKS);
  let [max, magnitude] = [0, 0];
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const [start, end] = [j * SUB_SIZE, (j + 1) * SUB_SIZE];
    const values = x.subarray(start, end);
    const weights = importance ? importance.subarray(start, end) : values.map((value) => value * value);
    scales[j] = searchSymmetric(values, weights, 32, codes.subarray(start, end));
    if (Math.abs(scales[j]) > magnitude) {
      magnitude = Math.abs(scales[j]);
      max = scales[j];
    }
  }
  out.fill(0);
  if (magnitude < ALL_ZERO) return;
  const inverse = f(-128 / max);
  writeHalf(out, D, f(1 / inverse));
  const d = readHalf(out, D);
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const scale = Math.min(127, nearestInt(f(inverse * scales[j])));
    out[SCALES + j] = scale;
    const step = f(d * ((scale << 24) >> 24));
    if (step === 0) continue;
    for (let i = j * SUB_SIZE; i < (j + 1) * SUB_SIZE; i++) codes[i] = nearestCode(f(x[i] / step), -32, 31) + 32;
  }
  for (let e = 0; e < SIZE; e++) {
    const { low, high } = placeOf(e);
    out[low.byte] |= (codes[e] & 15) << low.shift;
    out[high.byte] |= (codes[e] >> 4) << high.shift;
  }
}

/** Where the low nibble and the top two bits of element e are. */
function placeOf(e: number): Record<'low' | 'high', { byte: number; shift: number }> {
  const [half, within] = [e >> 7, e & 127];
  const [quarter, l] = [within >> 5, within & 31];
  return {
    low: { byte: half * 64 + (quarter & 1) * 32 + l, shift: quarter >> 1 ? 4 : 0 },
    high: { byte: QH + half * 32 + l, shift: quarter * 2 },
  };
}
