/** Turns signed bytes into codes with the zero point 128, and back, four at a time. */
export function flipSigns(codes: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(codes.length / 4) * 4);
  result.set(codes);
  const words = new Uint32Array(result.buffer);
  for (let i = 0; i < words.length; i++) words[i] ^= 0x80808080;
  return result.subarray(0, codes.length);
}
