import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';

const f = Math.fround;
const SIZE = 32;
const BYTES = 34;

/** 32 signed bytes times a half scale `max|x| / 127`: `x = d · c`. Halves round away from zero. Importance has no say. */
export const Q8_0 = defineBlockType({
  name: 'Q8_0',
  id: 8,
  blockSize: SIZE,
  blockBytes: BYTES,
  wasmSuffix: 'Q8_0',
  encodeRow(x, _importance, out) {
    for (let block = 0; block * SIZE < x.length; block++) {
      const values = x.subarray(block * SIZE, (block + 1) * SIZE);
      let magnitude = 0;
      for (const value of values) magnitude = Math.max(magnitude, Math.abs(value));
      const scale = f(magnitude / 127);
      const inverse = scale !== 0 ? f(1 / scale) : 0;
      writeHalf(out, block * BYTES, scale);
      for (let i = 0; i < SIZE; i++) {
        const value = f(values[i] * inverse);
        const code = Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
        out[block * BYTES + 2 + i] = Number.isFinite(code) ? code : 0;
      }
    }
  },
  decodeRow(bytes, out) {
    for (let block = 0; block * SIZE < out.length; block++) {
      const scale = readHalf(bytes, block * BYTES);
      for (let i = 0; i < SIZE; i++) out[block * SIZE + i] = scale * ((bytes[block * BYTES + 2 + i] << 24) >> 24);
    }
  },
});
