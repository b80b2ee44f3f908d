const f = Math.fround;

/** Twice the values of the 16 codes of E2M1 (one sign bit, two of exponent, one of mantissa), as MXFP4 and NVFP4 use them; there is no −0. */
export const E2M1_DOUBLED = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** The code with the least `|value · scale − x|`, the first of equal ones. */
export function nearestE2m1(x: number, scale: number): number {
  let best = 0;
  let least = Math.abs(x);
  for (let code = 1; code < 16; code++) {
    const error = Math.abs(f(f(E2M1_DOUBLED[code] * scale) - x));
    if (error < least) {
      best = code;
      least = error;
    }
  }
  return best;
}
