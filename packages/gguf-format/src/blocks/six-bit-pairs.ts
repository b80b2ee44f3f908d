/**
 * Eight pairs of 6-bit numbers (scale, minimum) in 12 bytes, as in Q4_K and Q5_K: pairs 0-3 fill the low 6 bits of bytes j and j + 4;
 * pairs 4-7 have their low nibbles in byte j + 4 and their top two bits in bits 6-7 of bytes j − 4 and j.
 */
export function packPairs(scales: Uint8Array, mins: Uint8Array): Uint8Array {
  const out = new Uint8Array(12);
  for (let j = 0; j < 4; j++) {
    out[j] = scales[j] | ((scales[j + 4] >> 4) << 6);
    out[4 + j] = mins[j] | ((mins[j + 4] >> 4) << 6);
    out[8 + j] = (scales[j + 4] & 15) | ((mins[j + 4] & 15) << 4);
  }
  return out;
}

/** Pair j of the 12 bytes at `at`. */
export function pairAt(bytes: Uint8Array, at: number, j: number): { scale: number; min: number } {
  if (j < 4) return { scale: bytes[at + j] & 63, min: bytes[at + j + 4] & 63 };
  return {
    scale: (bytes[at + j + 4] & 15) | ((bytes[at + j - 4] >> 6) << 4),
    min: (bytes[at + j + 4] >> 4) | ((bytes[at + j] >> 6) << 4),
  };
}
