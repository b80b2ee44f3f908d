import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';

const f = Math.fround;
const SIZE = 128;
const BYTES = 18;

/** 128 signs times a half scale, the mean magnitude: `x = ±d`. Bit i is set where element i is not negative. Importance has no say. */
export const Q1_0 = defineBlockType({
  name: 'Q1_0',
  id: 41,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q1_0',
  encodeRow(x, _importance, out) {
    for (let start = 0, at = 0; start < x.length; start += SIZE, at += BYTES) {
      let sum = 0;
      out.fill(0, at, at + BYTES);
      for (let i = 0; i < SIZE; i++) {
        const value = x[start + i];
        sum = f(sum + Math.abs(value));
        if (value >= 0) out[at + 2 + (i >> 3)] |= 1 << (i & 7);
      }
      writeHalf(out, at, f(sum / SIZE));
    }
  },
  decodeRow(bytes, out) {
    for (let start = 0, at = 0; start < out.length; start += SIZE, at += BYTES) {
      const scale = readHalf(bytes, at);
      for (let i = 0; i < SIZE; i++) out[start + i] = (bytes[at + 2 + (i >> 3)] >> (i & 7)) & 1 ? scale : -scale;
    }
  },
});
