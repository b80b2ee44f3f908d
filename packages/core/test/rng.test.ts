import { createRng } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const M = 0xffffffffn;

/** xoshiro128** 1.1 after its authors' C code (https://prng.di.unimi.it/xoshiro128starstar.c), in exact integers. */
function xoshiro(state: bigint[]): () => number {
  const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & M;
  const s = [...state];
  return () => {
    const result = (rotate((s[1] * 5n) & M, 7n) * 9n) & M;
    const t = (s[1] << 9n) & M;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
    return Number(result);
  };
}

/** The 32-bit splitmix that seeds it. */
function splitmix(seed: bigint): bigint[] {
  let a = seed;
  return Array.from({ length: 4 }, () => {
    a = (a + 0x9e3779b9n) & M;
    let z = ((a ^ (a >> 16n)) * 0x21f0aaadn) & M;
    z = ((z ^ (z >> 15n)) * 0x735a2d97n) & M;
    return z ^ (z >> 15n);
  });
}

describe('createRng', () => {
  it('is xoshiro128** seeded by splitmix32', () => {
    // The vector that Rust's rand_xoshiro tests with: state 1, 2, 3, 4.
    const known = xoshiro([1n, 2n, 3n, 4n]);
    expect(Array.from({ length: 4 }, known)).toEqual([11520, 0, 5927040, 70819200]);
    for (const seed of [0, 1, 7, 0xffffffff]) {
      const [ours, theirs] = [createRng(seed), xoshiro(splitmix(BigInt(seed)))];
      for (let i = 0; i < 1000; i++) expect(ours.u32()).toBe(theirs());
    }
  });

  it('gives the same numbers for the same seed, and others for another', () => {
    const draw = (seed: number) => {
      const rng = createRng(seed);
      return [rng.uniform(), rng.normal(), rng.normal(), rng.integer(100), rng.shuffle([1, 2, 3, 4, 5, 6, 7, 8]).join('')];
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
  });

  it('draws uniform, whole and normal numbers with the moments that they should have', () => {
    const rng = createRng(5);
    const n = 100_000;
    const counts = new Array(7).fill(0);
    let [sum, squares, normalSum, normalSquares, normalFourth] = [0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      const u = rng.uniform();
      if (!(u >= 0 && u < 1)) throw new Error(`uniform gave ${u}`);
      sum += u;
      squares += u * u;
      counts[rng.integer(7)]++;
      const z = rng.normal();
      normalSum += z;
      normalSquares += z * z;
      normalFourth += z ** 4;
    }
    expect(sum / n).toBeCloseTo(0.5, 2);
    expect(squares / n).toBeCloseTo(1 / 3, 2);
    expect(Math.abs(normalSum / n)).toBeLessThan(0.02);
    expect(Math.abs(normalSquares / n - 1)).toBeLessThan(0.03);
    expect(Math.abs(normalFourth / n - 3)).toBeLessThan(0.2);
    for (const count of counts) expect(Math.abs(count / n - 1 / 7)).toBeLessThan(0.006);
  });

  it('shuffles in place and loses nothing', () => {
    const values = Array.from({ length: 100 }, (_, i) => i);
    const shuffled = createRng(3).shuffle(values);
    expect(shuffled).toBe(values);
    expect(shuffled.some((value, i) => value !== i)).toBe(true);
    expect([...shuffled].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});
