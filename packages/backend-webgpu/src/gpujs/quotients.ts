/*
 * WGSL lets a device miss a quotient by 2.5 units in the last place, and fuse or not fuse `a * b + c`. The functions below divide digit by
 * digit, as on paper: every product in them is by a power of two or of few enough bits to be exact, and every difference is between
 * numbers within a factor of two (Sterbenz), so that no permitted rounding or fusion can change a result. They are gpu.js functions:
 * translated from their source text.
 */

/**
 * `roundHalfEven(fround(w / scale))` for a positive scale, or any whole number beyond ±256 where the quotient lies beyond ±256. Exactly
 * that for scales from 2^-100 to 2^100.
 */
export function roundedQuotient(w: number, scale: number): number {
  let rest = Math.abs(w);
  let whole = 0;
  // The power of two at or below `whole + 1/2`: a 2^24th of it is half a unit in the last place there.
  let power = 0.5;
  let digit = 256;
  for (let i = 0; i < 9; i += 1) {
    if (rest >= scale * digit) {
      rest -= scale * digit;
      if (whole < 0.5) {
        power = digit;
      }
      whole += digit;
    }
    digit *= 0.5;
  }
  // The quotient is rounded to f32 before it is rounded to a whole number: what is this near to a tie becomes one.
  const near = scale * power;
  const beyond = (rest - scale * 0.5) * 16777216;
  if (beyond > near || (beyond >= -near && Math.floor(whole * 0.5) * 2 < whole)) {
    whole += 1;
  }
  if (w < 0) {
    return -whole;
  }
  return whole;
}

/** `fround(range / levels)` for a positive range and a whole number of levels below 256. Exactly that for quotients from 2^-100 to 2^100. */
export function correctQuotient(range: number, levels: number): number {
  let digit = 1;
  while (digit * levels > range && digit > 1e-31) {
    digit *= 0.5;
  }
  while (digit * levels * 2 <= range && digit < 1e31) {
    digit *= 2;
  }
  let rest = range;
  let quotient = 0;
  for (let i = 0; i < 24; i += 1) {
    if (rest >= digit * levels) {
      rest -= digit * levels;
      quotient += digit;
    }
    digit *= 0.5;
  }
  // A quotient of whole numbers of 24 bits is never halfway between two f32.
  if (rest > digit * levels) {
    quotient += digit * 2;
  }
  return quotient;
}
