/**
 * A seeded random number generator: xoshiro128** 1.1 (Blackman & Vigna) seeded by splitmix32, the same numbers on every platform.
 *
 * @example
 * const random = createRng(7);
 * random.uniform(); // in [0, 1)
 */
export interface Rng {
  /** The next 32 random bits as an unsigned integer. */
  u32(): number;
  /** In [0, 1), 53 random bits. */
  uniform(): number;
  /** A whole number in [0, n). */
  integer(n: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** Shuffles in place (Fisher–Yates) and returns the array. */
  shuffle<T>(values: T[]): T[];
}

export function createRng(seed: number): Rng {
  let mix = seed >>> 0;
  const splitmix = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()];
  const rotate = (x: number, k: number) => ((x << k) | (x >>> (32 - k))) >>> 0;
  let spare: number | undefined;

  const rng: Rng = {
    u32() {
      const result = Math.imul(rotate(Math.imul(b, 5) >>> 0, 7), 9) >>> 0;
      const t = (b << 9) >>> 0;
      c = (c ^ a) >>> 0;
      d = (d ^ b) >>> 0;
      b = (b ^ c) >>> 0;
      a = (a ^ d) >>> 0;
      c = (c ^ t) >>> 0;
      d = rotate(d, 11);
      return result;
    },
    uniform: () => ((rng.u32() >>> 5) * 67108864 + (rng.u32() >>> 6)) / 9007199254740992,
    integer: (n) => Math.floor(rng.uniform() * n),
    normal() {
      if (spare !== undefined) {
        const value = spare;
        spare = undefined;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - rng.uniform()));
      const angle = 2 * Math.PI * rng.uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    shuffle(values) {
      for (let i = values.length - 1; i > 0; i--) {
        const j = rng.integer(i + 1);
        [values[i], values[j]] = [values[j], values[i]];
      }
      return values;
    },
  };
  return rng;
}
