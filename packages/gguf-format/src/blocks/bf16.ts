import { decodeFloat, encodeFloat } from '@calibrant/core';
import { defineBlockType } from './block-type.js';

/** bfloat16, nearest even. */
export const BF16 = defineBlockType({
  name: 'BF16',
  id: 30,
  blockSize: 1,
  blockBytes: 2,
  wasmSuffix: 'BF16',
  encodeRow(x, _importance, out) {
    const patterns = new Uint16Array(x.length);
    encodeFloat('bf16', x, patterns);
    out.set(new Uint8Array(patterns.buffer));
  },
  decodeRow(bytes, out) {
    const patterns = new Uint16Array(out.length);
    new Uint8Array(patterns.buffer).set(bytes);
    decodeFloat('bf16', patterns, out);
  },
});
