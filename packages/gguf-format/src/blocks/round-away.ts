/** Nearest integer, halves away from zero; 0 for what is infinite or not a number. */
export function roundAway(value: number): number {
  const rounded = Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
  return Number.isFinite(rounded) ? rounded : 0;
}

/** The largest magnitude. */
export function largestMagnitude(x: Float32Array): number {
  let largest = 0;
  for (const value of x) largest = Math.max(largest, Math.abs(value));
  return largest;
}
