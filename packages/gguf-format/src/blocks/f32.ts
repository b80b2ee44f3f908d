import { defineBlockType } from './block-type.js';

/** 32-bit floats, as they are. */
export const F32 = defineBlockType({
  name: 'F32',
  id: 0,
  blockSize: 1,
  blockBytes: 4,
  wasmSuffix: 'F32',
  encodeRow(x, _importance, out) {
    out.set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
  },
  decodeRow(bytes, out) {
    new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
  },
});
