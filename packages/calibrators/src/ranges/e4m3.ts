import { decodeFloat, encodeFloat } from '@calibrant/core';

/** The largest finite value of E4M3. */
export const E4M3_MAX = 448;

/** Values of E4M3 from 0 on; its patterns 0 to 126 are in order, 127 is NaN. */
export const E4M3_LEVELS = 127;

/** Values rounded to E4M3 values times a scale, saturating, in f32. */
export function roundToE4m3(values: ArrayLike<number>, scale: number): Float32Array {
  const out = Float32Array.from(values, (value) => Math.max(-E4M3_MAX, Math.min(E4M3_MAX, value / scale)));
  const codes = new Uint8Array(out.length);
  encodeFloat('f8_e4m3', out, codes);
  decodeFloat('f8_e4m3', codes, out);
  return out.map((value) => value * scale);
}

/** Upper ends of the cells of E4M3 values: halfway to the next one. */
const CELL_ENDS = (() => {
  const values = new Float32Array(E4M3_LEVELS);
  decodeFloat(
    'f8_e4m3',
    Uint8Array.from({ length: E4M3_LEVELS }, (_, pattern) => pattern),
    values,
  );
  return Float64Array.from(values, (value, level) => (value + (values[level + 1] ?? value)) / 2);
})();

/** Where the bins that round to the E4M3 value of a level end, when i bins reach up to 448. */
export function e4m3RunEnd(level: number, i: number): number {
  return level === E4M3_LEVELS - 1 ? i : Math.ceil((CELL_ENDS[level] * i) / E4M3_MAX);
}
