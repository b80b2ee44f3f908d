const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

/**
 * Nearest integer, ties to even, by adding 1.5 · 2^23 and reading the mantissa, as ggml does. Exact for |value| ≤ 4194303; beyond
 * that it gives what the bits happen to be, which parity with ggml asks for too. NaN gives 0.
 */
export function nearestInt(value: number): number {
  FLOAT[0] = value + 12582912;
  return (BITS[0] & 0x007fffff) - 0x00400000;
}

/** {@link nearestInt} clamped to `[low, high]`. */
export function nearestCode(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, nearestInt(value)));
}
