import { createRng, type Tensor, tensor } from '@calibrant/core';
import { klDivergence, negativeLogLikelihood } from '@calibrant/eval';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const noOptions = {};
const whole = { start: 0, end: 0 };
const reference = {
  nll: async (logits: Tensor, targets: Tensor) => negativeLogLikelihood.reference({ logits, targets }, noOptions, whole).nll.data,
  kl: async (base: Tensor, quantized: Tensor) => klDivergence.reference({ base, quantized }, noOptions, whole),
};
const wasm = {
  nll: async (logits: Tensor, targets: Tensor) => runWasm(negativeLogLikelihood, { logits, targets }, noOptions).nll.data,
  kl: (base: Tensor, quantized: Tensor) => runWasm(klDivergence, { base, quantized }, noOptions),
};
const row = (...values: number[]) => tensor('f32', [1, values.length], Float32Array.from(values));
const target = (...values: number[]) => tensor('i32', [values.length], Int32Array.from(values));
function random(rows: number, columns: number, seed: number, spread = 4): Tensor {
  const rng = createRng(seed);
  return tensor(
    'f32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, () => spread * rng.normal()),
  );
}

describe.each([
  ['reference', reference],
  ['WebAssembly', wasm],
] as const)('%s', (_, { nll, kl }) => {
  it('gives ln n for equal logits, whatever their size', async () => {
    for (const level of [0, 88, -1000, 3e38])
      expect(Number((await nll(row(...new Array(7).fill(level)), target(3)))[0])).toBeCloseTo(Math.log(7), 6);
  });

  it('gives ln(1 + e^-d) and d + ln(1 + e^-d) for two logits d apart', async () => {
    for (const d of [0.001, 1, 12, 80]) {
      expect(Number((await nll(row(d, 0), target(0)))[0])).toBeCloseTo(Math.log1p(Math.exp(-d)), 6);
      expect(Number((await nll(row(d, 0), target(1)))[0]) / (d + Math.log1p(Math.exp(-d)))).toBeCloseTo(1, 6);
    }
  });

  it('scores no row with a negative target, and answers NaN to NaN logits and targets beyond the vocabulary', async () => {
    expect((await nll(row(1, 2, 3), target(-1)))[0]).toBe(0);
    expect((await nll(row(1, NaN, 3), target(0)))[0]).toBeNaN();
    expect((await nll(row(1, 2, 3), target(3)))[0]).toBeNaN();
  });

  it('gives the closed form of the divergence between two-valued distributions', async () => {
    for (const [a, b] of [
      [0, 1],
      [2, -3],
      [10, 10.5],
    ]) {
      const [p, q] = [1 / (1 + Math.exp(-a)), 1 / (1 + Math.exp(-b))];
      const expected = p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
      expect(Number((await kl(row(a, 0), row(b, 0))).kl.data[0]) / expected).toBeCloseTo(1, 5);
    }
  });

  it('keeps six digits of a divergence of 1e-7 and 1e-9, where the textbook sum has none left', async () => {
    // p uniform over 2n columns, half of the logits up by s and half down: KL = ln cosh s = s²/2 − s⁴/12 + …
    for (const s of [2 ** -11, 2 ** -14]) {
      const n = 2050;
      const base = row(...new Array(n).fill(5));
      const moved = row(...Array.from({ length: n }, (_, i) => (i % 2 ? 5 + s : 5 - s)));
      const expected = s ** 2 / 2 - s ** 4 / 12;
      expect(expected).toBeLessThan(2e-7);
      expect(Math.abs(Number((await kl(base, moved)).kl.data[0]) / expected - 1)).toBeLessThan(2e-6);
    }
  });

  it('finds no divergence between logits that differ by a constant', async () => {
    const base = random(3, 1001, 5);
    const shifted = tensor(
      'f32',
      base.shape,
      Float32Array.from(base.data as Float32Array, (x) => x + 8),
    );
    const { kl: values, same } = await kl(base, shifted);
    for (const value of values.data) expect(Math.abs(Number(value))).toBeLessThan(1e-12);
    expect([...same.data]).toEqual([1, 1, 1]);
  });

  it('treats −∞ as a token without probability', async () => {
    const { kl: finite } = await kl(row(0, 0, -Infinity), row(0, 0, -Infinity));
    expect(finite.data[0]).toBe(0);
    const { kl: into } = await kl(row(0, 0, -Infinity), row(0, 0, 0));
    expect(Number(into.data[0])).toBeCloseTo(Math.log(1.5), 6);
    const { kl: impossible } = await kl(row(0, 0, 0), row(0, 0, -Infinity));
    expect(impossible.data[0]).toBe(Infinity);
    expect((await kl(row(0, NaN), row(0, 0))).kl.data[0]).toBeNaN();
  });

  it('compares the first maxima', async () => {
    const tops = async (a: number[], b: number[]) => (await kl(row(...a), row(...b))).same.data[0];
    expect(await tops([0, 1, 2, 3, 9, 5], [5, 4, 3, 2, 6, 1])).toBe(1);
    expect(await tops([0, 9, 2, 3, 8, 5], [5, 4, 3, 2, 6, 1])).toBe(0);
    expect(await tops([7, 7, 0], [7, 1, 7])).toBe(1);
    expect(await tops([0, 7, 7], [1, 0, 7])).toBe(0);
  });
});

/** The definition, in f64 and without any trick. */
function plain(base: Tensor, quantized: Tensor, r: number): number {
  const columns = base.shape[1];
  const softmax = (data: Float32Array) => {
    const exps = Array.from(data.subarray(r * columns, (r + 1) * columns), (x) => Math.exp(x));
    const sum = exps.reduce((a, b) => a + b, 0);
    return exps.map((e) => e / sum);
  };
  const [p, q] = [softmax(base.data as Float32Array), softmax(quantized.data as Float32Array)];
  return p.reduce((sum, value, i) => sum + value * Math.log(value / q[i]), 0);
}

describe('on random logits', () => {
  it.each([1, 2, 3, 4, 5, 31, 515])('the divergence over %i columns is Σ p ln(p/q)', async (columns) => {
    const base = random(9, columns, 1);
    const noise = random(9, columns, 2, 0.3).data;
    const quantized = tensor(
      'f32',
      base.shape,
      Float32Array.from(base.data as Float32Array, (x, i) => x + Number(noise[i])),
    );
    const { kl } = await wasm.kl(base, quantized);
    for (let r = 0; r < 9; r++) expect(Math.abs(Number(kl.data[r]) - plain(base, quantized, r))).toBeLessThan(1e-6);
  });

  it('WebAssembly stays within its stated error of the reference, for near and far distributions', async () => {
    for (const distance of [1e-3, 0.05, 1, 10]) {
      const base = random(12, 1021, 11, 3);
      const noise = random(12, 1021, 12, distance).data;
      const quantized = tensor(
        'f32',
        base.shape,
        Float32Array.from(base.data as Float32Array, (x, i) => x + Number(noise[i])),
      );
      const [expected, found] = [await reference.kl(base, quantized), await wasm.kl(base, quantized)];
      expect([...found.same.data]).toEqual([...expected.same.data]);
      for (let r = 0; r < 12; r++) {
        const value = Number(expected.kl.data[r]);
        expect(Math.abs(Number(found.kl.data[r]) - value)).toBeLessThan(2e-6 * value + 1e-13);
      }
      const targets = target(...Array.from({ length: 12 }, (_, i) => i * 80));
      const [likely, fast] = [await reference.nll(base, targets), await wasm.nll(base, targets)];
      for (let r = 0; r < 12; r++) expect(Math.abs(Number(likely[r]) - Number(fast[r]))).toBeLessThan(5e-7 + 1.2e-7 * Number(likely[r]));
    }
  });

  it('refuses operands that do not fit', () => {
    const f32 = (...shape: number[]) => ({ dtype: 'f32' as const, shape });
    expect(() => klDivergence.infer({ base: f32(2, 3), quantized: f32(2, 4) }, noOptions)).toThrow(/one shape/);
    expect(() => negativeLogLikelihood.infer({ logits: f32(2, 3), targets: f32(2) }, noOptions)).toThrow(/targets must be i32 \[2\]/);
    expect(() => negativeLogLikelihood.infer({ logits: f32(6), targets: f32(2) }, noOptions)).toThrow(/logits must be f32/);
  });
});
