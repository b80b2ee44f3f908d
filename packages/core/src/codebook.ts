/**
 * A grid that is a list of values: `w ≈ scale · values[code]`. Affine grids are evenly spaced; these are not.
 */
export interface Codebook {
  readonly name: string;
  readonly bits: number;
  /** The value of each code, as many as `2^bits`, in the order of the codes (not sorted). */
  readonly values: readonly number[];
  /** What a number in the middle of two values becomes: the lower value, or the value with the even code. */
  readonly ties: 'lower' | 'even';
}

/**
 * NormalFloat 4: quantiles of the standard normal distribution, scaled to [−1, 1], with an exact 0 (Dettmers et al., arXiv 2305.14314,
 * appendix E; the values and the rounding are those of bitsandbytes).
 */
export const NF4: Codebook = Object.freeze({
  name: 'nf4',
  bits: 4,
  values: Object.freeze([
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1,
  ]),
  ties: 'lower',
} as const);

/** The 4-bit float of MXFP4 and NVFP4: sign, 2 exponent bits, 1 mantissa bit (OCP Microscaling Formats 1.0, section 5.3.3). */
export const E2M1: Codebook = Object.freeze({
  name: 'e2m1',
  bits: 4,
  values: Object.freeze([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]),
  ties: 'even',
} as const);

/** A codebook made ready for searching: its different values in rising order, each with its (lowest) code. */
export interface SortedCodebook {
  readonly values: Float64Array;
  readonly codes: Uint8Array;
  readonly ties: Codebook['ties'];
}

/** Sorts a codebook's values and drops repeated ones (−0 of E2M1). */
export function sortCodebook({ values, ties }: { readonly values: ArrayLike<number>; readonly ties: Codebook['ties'] }): SortedCodebook {
  const order = Array.from(values, (value, code) => ({ value, code })).sort((a, b) => a.value - b.value || a.code - b.code);
  const distinct = order.filter(({ value }, i) => i === 0 || value !== order[i - 1].value);
  return { values: Float64Array.from(distinct, ({ value }) => value), codes: Uint8Array.from(distinct, ({ code }) => code), ties };
}

/**
 * The code of the value nearest to `x`, by binary search. Numbers beyond the ends get the end's code.
 *
 * @example
 * nearestCode(sortCodebook(NF4), 0.1); // 8: 0.0796 is nearer than 0.1609
 */
export function nearestCode({ values, codes, ties }: SortedCodebook, x: number): number {
  let [low, high] = [0, values.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle;
    else high = middle;
  }
  // Exact: the values are f32, and so is x where it comes from a kernel.
  const twice = values[low] + values[high];
  if (2 * x !== twice) return 2 * x < twice ? codes[low] : codes[high];
  return ties === 'lower' || codes[low] % 2 === 0 ? codes[low] : codes[high];
}
