/**
 * Packs codes LSB first into a little-endian bitstream: code i takes bits `i·bits … i·bits + bits − 1`.
 * For 2, 4 and 8 bits this equals the words of GPTQ and compressed-tensors; 3-bit codes straddle bytes and words.
 *
 * @example
 * packBits(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7), 4); // bytes 10 32 54 76 (hex)
 */
export function packBits(codes: Uint8Array, bits: number): Uint8Array {
  const packed = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  let pending = 0;
  let held = 0;
  let at = 0;
  for (const code of codes) {
    pending |= code << held;
    held += bits;
    while (held >= 8) {
      packed[at++] = pending & 255;
      pending >>>= 8;
      held -= 8;
    }
  }
  if (held > 0) packed[at] = pending & 255;
  return packed;
}

/** The inverse of {@link packBits}. */
export function unpackBits(packed: Uint8Array, bits: number, count: number): Uint8Array {
  const codes = new Uint8Array(count);
  const mask = 2 ** bits - 1;
  let pending = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    while (held < bits) {
      pending |= packed[at++] << held;
      held += 8;
    }
    codes[i] = pending & mask;
    pending >>>= bits;
    held -= bits;
  }
  return codes;
}
