import { createReferenceBackend, createRng, parseAffineScheme, parseOptions, type Tensor, tensor } from '@calibrant/core';
import { type GptqOptions, gptq } from '@calibrant/gptq';
import { describe, expect, it } from '@jest/globals';
import { normalWeight, quantizeLayer } from './quantize-layer.js';

const [ROWS, N, TOKENS] = [6, 16, 96];
const DAMP = 0.01;

/** Inputs of the full-precision model, and what became of them: correlated channels, noise, and a share that was lost. */
function inputs(seed: number): { full: Float64Array[]; quantized: Float64Array[] } {
  const random = createRng(seed);
  const full = Array.from({ length: TOKENS }, () => {
    const shared = random.normal();
    return Float64Array.from({ length: N }, (_, c) => shared + random.normal() * (1 + (c % 3)));
  });
  const quantized = full.map((x) => x.map((value, c) => 0.9 * value + 0.25 * random.normal() + 0.1 * x[(c + 1) % N]));
  return { full, quantized };
}

/** `2/n · Σ a bᵀ`. */
function correlation(a: readonly Float64Array[], b: readonly Float64Array[]): number[][] {
  const sum = (i: number, j: number) => a.reduce((total, x, t) => total + x[i] * b[t][j], 0);
  return Array.from({ length: N }, (_, i) => Array.from({ length: N }, (_, j) => (2 / TOKENS) * sum(i, j)));
}

const square = (values: readonly (readonly number[])[]): Tensor => tensor('f32', [N, N], Float32Array.from(values.flat()));

function observed(seed: number) {
  const { full, quantized } = inputs(seed);
  const [own, cross] = [correlation(quantized, quantized), correlation(full, quantized)];
  const deviation = cross.map((row, i) => row.map((value, j) => value - own[i][j]));
  return { full, quantized, own, cross, hessian: square(own), deviation: square(deviation) };
}

async function quantize(weight: Tensor, hessian: Tensor, deviation: Tensor | undefined, scheme: string, options: GptqOptions) {
  const backend = createReferenceBackend();
  const plugin = gptq();
  const [w, h, c] = [await backend.upload(weight), await backend.upload(hessian), deviation && (await backend.upload(deviation))];
  const observations = { hessian: h, tokens: TOKENS, ...(c ? { deviation: c } : {}) };
  const layer = { name: 'layer.weight', weight: w, scheme: parseAffineScheme(scheme)!, observations };
  const { tensor: coded } = await plugin.quantize(layer, parseOptions(plugin.options, options, 'gptq'), { backend, warn: () => {} });
  return coded;
}

/** `Σ |Q x̃ − W x|²` over tokens and rows. */
function distance(weight: Tensor, coded: Awaited<ReturnType<typeof quantize>>, { full, quantized }: ReturnType<typeof inputs>): number {
  const { codes, scales, zeroPoints } = coded;
  let total = 0;
  for (let r = 0; r < ROWS; r++)
    for (let t = 0; t < TOKENS; t++) {
      let difference = 0;
      for (let c = 0; c < N; c++) {
        const at = r * scales.shape[1] + Math.floor((c * scales.shape[1]) / N);
        const value = Number(scales.data[at]) * (codes[r * N + c] - Number(zeroPoints.data[at]));
        difference += value * quantized[t][c] - Number(weight.data[r * N + c]) * full[t][c];
      }
      total += difference ** 2;
    }
  return total;
}

const on: GptqOptions = { asymmetricCalibration: true, gptaqAlpha: 1 };

describe('asymmetric calibration (GPTAQ)', () => {
  it('at 8 bits solves the normal equations V (x̃x̃ᵀ + λ) = W (x x̃ᵀ + λ)', async () => {
    const weight = normalWeight(ROWS, N, 1);
    const { own, cross, hessian, deviation } = observed(2);
    const lambda = (DAMP * own.reduce((sum, row, i) => sum + row[i], 0)) / N;
    const { codes, scales, zeroPoints } = await quantize(weight, hessian, deviation, 'int8-channel-asym', on);
    for (let r = 0; r < ROWS; r++) {
      const value = (c: number) => Number(scales.data[r]) * (codes[r * N + c] - Number(zeroPoints.data[r]));
      const exact = solve(
        own.map((row, i) => row.map((h, j) => h + (i === j ? lambda : 0))),
        Array.from({ length: N }, (_, j) =>
          cross.reduce((sum, row, i) => sum + Number(weight.data[r * N + i]) * (row[j] + (i === j ? lambda : 0)), 0),
        ),
      );
      for (let c = 0; c < N; c++) {
        // Compensation moves single codes by a few steps; what is far from them is wrong.
        expect(Math.abs(value(c) - exact[c])).toBeLessThan(4 * Number(scales.data[r]));
      }
      const moved = exact.map((v, c) => Math.abs(v - Number(weight.data[r * N + c])));
      expect(Math.max(...moved)).toBeGreaterThan(10 * Number(scales.data[r]));
    }
  });

  it('chooses the codes that plain GPTQ chooses for the least-squares weight, in every order of columns', async () => {
    const weight = normalWeight(ROWS, N, 3);
    const { own, hessian, deviation } = observed(4);
    const lambda = (DAMP * own.reduce((sum, row, i) => sum + row[i], 0)) / N;
    const damped = own.map((row, i) => row.map((h, j) => h + (i === j ? lambda : 0)));
    const target = tensor('f32', [ROWS, N]);
    for (let r = 0; r < ROWS; r++) {
      const w = Array.from({ length: N }, (_, c) => Number(weight.data[r * N + c]));
      const correlated = w.map((_, j) => w.reduce((sum, value, i) => sum + value * Number(deviation.data[i * N + j]), 0));
      for (const [c, change] of solve(damped, correlated).entries()) target.data[r * N + c] = w[c] + change;
    }
    for (const actOrder of ['none', 'full', 'group-aware'] as const) {
      const options: GptqOptions = { actOrder, keepBetterRows: false };
      const wanted = (await quantizeLayer(target, hessian, 'int3-g8-asym', options)).tensor;
      const found = await quantize(weight, hessian, deviation, 'int3-g8-asym', { ...options, ...on });
      expect(found.codes).toEqual(wanted.codes);
      expect(found.groupIndex).toEqual(wanted.groupIndex);
    }
  });

  it('comes nearer to the full-precision outputs than plain GPTQ: of the error, 0.62 is left at 3 bits, 0.46 at 4', async () => {
    const left = async (scheme: string): Promise<number> => {
      let [sum, of] = [0, 0];
      for (let seed = 10; seed < 18; seed++) {
        const weight = normalWeight(ROWS, N, seed);
        const { hessian, deviation, ...values } = observed(seed);
        of += distance(weight, await quantize(weight, hessian, deviation, scheme, {}), values);
        sum += distance(weight, await quantize(weight, hessian, deviation, scheme, on), values);
      }
      return sum / of;
    };
    expect(await left('int3-g8-asym')).toBeLessThan(0.65);
    expect(await left('int4-g8-asym')).toBeLessThan(0.48);
  });

  it('is plain GPTQ without a deviation (in an expert), with none at all, and with alpha 0', async () => {
    const weight = normalWeight(ROWS, N, 5);
    const { hessian, deviation } = observed(6);
    const plain = await quantize(weight, hessian, undefined, 'int4-g8-sym', {});
    expect(await quantize(weight, hessian, undefined, 'int4-g8-sym', on)).toEqual(plain);
    expect(await quantize(weight, hessian, tensor('f32', [N, N]), 'int4-g8-sym', on)).toEqual(plain);
    expect(await quantize(weight, hessian, deviation, 'int4-g8-sym', { ...on, gptaqAlpha: 0 })).toEqual(plain);
    expect(await quantize(weight, hessian, deviation, 'int4-g8-sym', on)).not.toEqual(plain);
  });

  it('asks for the deviation where the option is on, and refuses one of another shape', async () => {
    const plugin = gptq();
    const resolve = (options: GptqOptions) => parseOptions(plugin.options, options, 'gptq');
    expect(plugin.alsoNeeds?.(resolve({}))).toEqual([]);
    expect(plugin.alsoNeeds?.(resolve(on))).toEqual(['deviation']);
    await expect(quantize(normalWeight(ROWS, N, 7), observed(8).hessian, tensor('f32', [N, 4]), 'int4-g8-sym', on)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('deviation of "layer.weight"'),
    });
  });
});

/** Solves a symmetric system by elimination, in f64. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  for (let i = 0; i < N; i++) {
    const pivot = rows[i].map((value) => value / rows[i][i]);
    rows.forEach((row, r) => {
      const factor = row[i];
      rows[r] = r === i ? pivot : row.map((value, c) => value - factor * pivot[c]);
    });
  }
  return rows.map((row) => row[N]);
}
