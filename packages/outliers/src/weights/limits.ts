/** The largest f32 that is not above a limit: an f32 exceeds the one exactly when it exceeds the other. */
export function floorF32(limit: number): number {
  const nearest = Math.fround(limit);
  return nearest > limit ? neighbour(nearest, -1) : nearest;
}

/** The smallest f32 that is not below a limit. */
export function ceilF32(limit: number): number {
  return -floorF32(-limit);
}

/** The next f32 above (1) or below (−1). */
function neighbour(value: number, direction: 1 | -1): number {
  if (value === 0) return direction * 2 ** -149;
  const bits = new Int32Array(Float32Array.of(value).buffer);
  bits[0] += value > 0 === direction > 0 ? 1 : -1;
  return new Float32Array(bits.buffer)[0];
}
