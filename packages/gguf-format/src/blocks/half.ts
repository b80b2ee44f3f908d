const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** The binary16 pattern nearest to an f32, ties to even; NaN keeps its sign and becomes quiet. */
export function toHalf(value: number): number {
  FLOAT[0] = value;
  const bits = BITS[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // The last place of 0.5 is 2^-24, that of subnormal halves: the addition rounds.
    FLOAT[0] = Math.abs(value) + 0.5;
    return sign | (BITS[0] - 0x3f000000);
  }
  return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
}

/** The value of a binary16 pattern. */
export function fromHalf(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >>> 10) & 31;
  const mantissa = pattern & 0x3ff;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

export function writeHalf(out: Uint8Array, at: number, value: number): void {
  const pattern = toHalf(value);
  out[at] = pattern & 255;
  out[at + 1] = pattern >>> 8;
}

export function readHalf(bytes: Uint8Array, at: number): number {
  return fromHalf(bytes[at] | (bytes[at + 1] << 8));
}
