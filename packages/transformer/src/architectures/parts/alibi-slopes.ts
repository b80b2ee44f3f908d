/**
 * Slopes of ALiBi: the powers of `2^(−8/n)` for n heads when n is a power of two; else those of the next smaller power of two, followed by every other
 * slope of the next larger one (the code of Press et al., arXiv 2108.12409, that Bloom and Falcon follow). Rounded to f32.
 */
export function alibiSlopes(heads: number): number[] {
  const powers = (count: number): number[] => Array.from({ length: count }, (_, i) => Math.fround(2 ** ((-8 * (i + 1)) / count)));
  const smaller = 2 ** Math.floor(Math.log2(heads));
  const between = powers(2 * smaller).filter((_, i) => i % 2 === 0);
  return [...powers(smaller), ...between.slice(0, heads - smaller)];
}
