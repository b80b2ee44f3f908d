/** Distributions that reach the corners of the searches: one number from two uniform ones, and the element's index. */
export const DISTRIBUTIONS: Record<string, (u: number, v: number, i: number) => number> = {
  bell: (u, v) => u + v - 1,
  'subnormal floats': (u) => (u - 0.5) * 1e-43,
  'subnormal halves': (u) => (u - 0.5) * 1e-6,
  huge: (u) => (u - 0.5) * 1e37,
  'negative and nearly constant': (u) => -1000 - u * 1e-4,
  'positive and nearly constant': (u) => 5 + u * 1e-5,
  'two neighbouring values': (u) => (u < 0.5 ? -1 : -1.0000001),
  sparse: (u, v) => (u < 0.02 ? v - 0.5 : 0),
  'few large negative': (u, v) => (u < 0.03 ? -1e5 * v : -1e-5 * v),
  'another scale per sub-block': (u, _v, i) => (u - 0.5) * 10 ** (((i >> 5) % 12) - 6),
  'heavy tails': (u, v) => (u - 0.5) / (v * v * v + 1e-9),
  'small integers': (u) => Math.round((u - 0.5) * 6),
  'signed zeros': (u) => (u < 0.5 ? -0 : 0),
  constant: () => -3.25,
  'just below powers of two': (u, v, i) =>
    2 ** (Math.floor(v * 250) - 125) * (1 - Math.floor(u * 60) * 2 ** -24) * ((i >> 5) % 2 ? 1 : 0.1 + u),
  'another scale per sixteen': (u, _v, i) => (u - 0.5) * 10 ** (((i >> 4) % 20) - 9),
  'near the largest float': (u) => (u - 0.5) * 6e38,
};

/** Uniform numbers in [0, 1) from a seed. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
