/** 128 two-bit codes in 32 bytes: byte l holds elements l, l + 32, l + 64 and l + 96, from the lowest bits up. As in Q2_K, Q3_K and TQ2_0. */
export function packTwoBits(codes: Uint8Array, out: Uint8Array, at: number): void {
  for (let half = 0; half * 128 < codes.length; half++)
    for (let l = 0; l < 32; l++) {
      const e = half * 128 + l;
      out[at + half * 32 + l] = codes[e] | (codes[e + 32] << 2) | (codes[e + 64] << 4) | (codes[e + 96] << 6);
    }
}

/** Element e of the codes that start at `at`. */
export function twoBitsAt(bytes: Uint8Array, at: number, e: number): number {
  return (bytes[at + (e >> 7) * 32 + (e & 31)] >> (((e >> 5) & 3) * 2)) & 3;
}
