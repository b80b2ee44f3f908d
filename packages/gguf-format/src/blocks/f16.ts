import { defineBlockType } from './block-type.js';
import { readHalf, writeHalf } from './half.js';

/** IEEE binary16, nearest even. */
export const F16 = defineBlockType({
  name: 'F16',
  id: 1,
  blockSize: 1,
  blockBytes: 2,
  wasmSuffix: 'F16',
  encodeRow(x, _importance, out) {
    for (let i = 0; i < x.length; i++) writeHalf(out, 2 * i, x[i]);
  },
  decodeRow(bytes, out) {
    for (let i = 0; i < out.length; i++) out[i] = readHalf(bytes, 2 * i);
  },
});
