/** 32 nibbles in 16 bytes: byte j holds elements j and j + 16. */
export function packNibbles(codes: Uint8Array, out: Uint8Array, at: number): void {
  for (let j = 0; j < 16; j++) out[at + j] = (codes[j] & 15) | ((codes[j + 16] & 15) << 4);
}

/** The fifth bits of 32 codes: bit e of a word of 4 bytes. */
export function packFifthBits(codes: Uint8Array, out: Uint8Array, at: number): void {
  out.fill(0, at, at + 4);
  for (let e = 0; e < 32; e++) out[at + (e >> 3)] |= (codes[e] >> 4) << (e & 7);
}

/** 256 nibbles in 128 bytes: byte l of chunk c holds elements 64c + l and 64c + 32 + l, as in Q4_K and Q5_K. */
export function packNibblePlanes(codes: Uint8Array, out: Uint8Array, at: number): void {
  for (let chunk = 0; chunk < 4; chunk++)
    for (let l = 0; l < 32; l++) out[at + chunk * 32 + l] = (codes[chunk * 64 + l] & 15) | ((codes[chunk * 64 + 32 + l] & 15) << 4);
}

/** Bit `bit` of 256 codes in 32 bytes: bit j of byte l belongs to element 32j + l, as in Q5_K and Q3_K. */
export function packBitPlanes(codes: Uint8Array, bit: number, out: Uint8Array, at: number): void {
  out.fill(0, at, at + 32);
  for (let e = 0; e < 256; e++) out[at + (e & 31)] |= ((codes[e] >> bit) & 1) << (e >> 5);
}

/** Bits `shift` and `shift + 1` of 128 codes in 32 bytes: byte l holds elements l, l + 32, l + 64 and l + 96, from the lowest bits up. */
export function packPairPlanes(codes: Uint8Array, start: number, shift: number, out: Uint8Array, at: number): void {
  for (let l = 0; l < 32; l++) {
    let byte = 0;
    for (let quarter = 0; quarter < 4; quarter++) byte |= ((codes[start + quarter * 32 + l] >> shift) & 3) << (2 * quarter);
    out[at + l] = byte;
  }
}
