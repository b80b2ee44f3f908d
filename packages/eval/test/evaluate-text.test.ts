import { createReferenceBackend, createRng } from '@calibrant/core';
import { cutWindows, evaluateText } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';
import { tableModel } from './table-model.js';

const VOCABULARY = 7;
function randomTable(seed: number, spread: number, around?: number[][]): number[][] {
  const rng = createRng(seed);
  return Array.from({ length: VOCABULARY }, (_, i) =>
    Array.from({ length: VOCABULARY }, (_, j) => (around?.[i][j] ?? 0) + spread * rng.normal()),
  );
}
const base = randomTable(1, 2);
const quantized = randomTable(2, 0.3, base);
const rng = createRng(3);
const ids = Array.from({ length: 600 }, () => rng.integer(VOCABULARY));
const windows = cutWindows(ids, { length: 100 });

/** Probabilities of both models at each scored position, and the true token, by the definition. */
const softmax = (row: number[]) => {
  const exps = row.map(Math.exp);
  return exps.map((e) => e / exps.reduce((a, b) => a + b));
};
const positions = windows.windows.flatMap((window) =>
  [...window.subarray(1)].map((target, i) => ({ p: softmax(base[window[i]]), q: softmax(quantized[window[i]]), target })),
);
const n = positions.length;
const mean = (values: number[]) => values.reduce((a, b) => a + b) / n;
/** The error of the mean as llama-perplexity computes it: √((mean of squares − square of mean) / (n − 1)). */
const error = (values: number[]) => Math.sqrt((mean(values.map((x) => x * x)) - mean(values) ** 2) / (n - 1));

async function measured() {
  const backend = createReferenceBackend();
  const result = await evaluateText({
    backend,
    model: tableModel(backend, quantized),
    base: tableModel(backend, base),
    windows,
    topCount: 3,
  });
  expect(backend.allocatedBytes()).toBe(0);
  return { ...result, divergence: result.divergence!, base: result.base! };
}

describe('evaluateText', () => {
  it('gives the perplexities, their correlation, ratio and difference with errors as llama-perplexity defines them', async () => {
    const { perplexity, base: ofBase, divergence } = await measured();
    const [a, b] = [positions.map(({ p, target }) => -Math.log(p[target])), positions.map(({ q, target }) => -Math.log(q[target]))];
    const [pplA, pplB] = [Math.exp(mean(a)), Math.exp(mean(b))];
    expect(ofBase.perplexity.perplexity).toBeCloseTo(pplA, 4);
    expect(perplexity.perplexity).toBeCloseTo(pplB, 4);
    expect(perplexity.standardError).toBeCloseTo(pplB * error(b), 4);
    const covariance = (mean(a.map((x, i) => x * b[i])) - mean(a) * mean(b)) / (n - 1);
    expect(divergence.lnPerplexityCorrelation).toBeCloseTo(covariance / error(a) / error(b), 5);
    const lnRatio = mean(b) - mean(a);
    const lnError = Math.sqrt(error(a) ** 2 + error(b) ** 2 - 2 * covariance);
    expect(divergence.lnPerplexityRatio).toEqual({ value: expect.closeTo(lnRatio, 5), standardError: expect.closeTo(lnError, 6) });
    expect(divergence.perplexityRatio).toEqual({
      value: expect.closeTo(pplB / pplA, 5),
      standardError: expect.closeTo((pplB / pplA) * lnError, 6),
    });
    expect(divergence.perplexityDifference).toEqual({
      value: expect.closeTo(pplB - pplA, 4),
      standardError: expect.closeTo(Math.sqrt((pplB * error(b)) ** 2 + (pplA * error(a)) ** 2 - 2 * pplA * pplB * covariance), 4),
    });
  });

  it('gives the distribution of the divergence', async () => {
    const { divergence } = await measured();
    const kl = positions.map(({ p, q }) => p.reduce((sum, x, j) => sum + x * Math.log(x / q[j]), 0)).sort((x, y) => x - y);
    expect(divergence.meanKl).toBeCloseTo(mean(kl), 6);
    expect(divergence.meanKlStandardError).toBeCloseTo(error(kl), 6);
    const at = (fraction: number) => divergence.klPercentiles.find((point) => point.at === fraction)!.value;
    expect([at(1), at(0)]).toEqual([expect.closeTo(kl[n - 1], 6), expect.closeTo(kl[0], 6)]);
    const place = 0.9 * (n - 1);
    expect(at(0.9)).toBeCloseTo(kl[Math.floor(place)] + (place % 1) * (kl[Math.ceil(place)] - kl[Math.floor(place)]), 6);
    expect([divergence.medianKl, divergence.kl99, divergence.maxKl]).toEqual([at(0.5), at(0.99), at(1)]);
    const { edges, counts } = divergence.klHistogram;
    expect(edges).toHaveLength(counts.length + 1);
    for (const [i, count] of counts.entries()) expect(count).toBe(kl.filter((x) => x >= edges[i] && x < edges[i + 1]).length);
  });

  it('gives the change of the true token, agreement, and overlap of the most likely tokens', async () => {
    const { divergence } = await measured();
    const change = positions.map(({ p, q, target }) => q[target] - p[target]);
    const squares = change.map((x) => x * x);
    const { probabilityChange, topOverlap } = divergence;
    expect(probabilityChange.mean).toEqual({ value: expect.closeTo(mean(change), 6), standardError: expect.closeTo(error(change), 6) });
    expect(probabilityChange.rms).toEqual({
      value: expect.closeTo(Math.sqrt(mean(squares)), 6),
      standardError: expect.closeTo((0.5 / Math.sqrt(mean(squares))) * error(squares), 6),
    });
    expect(probabilityChange.histogram.counts.reduce((a, b) => a + b)).toBe(n);
    expect(probabilityChange.percentiles[0].value).toBeCloseTo(Math.max(...change), 6);
    const order = (row: number[]) => row.map((_, j) => j).sort((x, y) => row[y] - row[x]);
    const same = positions.map(({ p, q }) => (order(p)[0] === order(q)[0] ? 1 : 0));
    expect(divergence.sameTop).toBeCloseTo(mean(same), 6);
    expect(divergence.sameTopStandardError).toBeCloseTo(Math.sqrt((mean(same) * (1 - mean(same))) / (n - 1)), 6);
    const overlap = positions.map(
      ({ p, q }) =>
        order(p)
          .slice(0, 3)
          .filter((j) => order(q).slice(0, 3).includes(j)).length / 3,
    );
    expect(topOverlap).toEqual({ count: 3, value: expect.closeTo(mean(overlap), 6), standardError: expect.closeTo(error(overlap), 6) });
  });

  it("gives the calibration of both models' next-token predictions", async () => {
    const { calibration, base: ofBase } = await measured();
    for (const [side, figures] of [['q', calibration] as const, ['p', ofBase.calibration] as const]) {
      const top = positions.map((position) => Math.max(...position[side]));
      const right = positions.map((position, i) => (position[side][position.target] === top[i] ? 1 : 0));
      expect(figures.count).toBe(n);
      expect(figures.accuracy).toBeCloseTo(mean(right), 6);
      expect(figures.meanConfidence).toBeCloseTo(mean(top), 6);
      let ece = 0;
      for (let bin = 0; bin < 15; bin++) {
        const inside = top.map((_, i) => i).filter((i) => top[i] > bin / 15 && top[i] <= (bin + 1) / 15);
        ece += Math.abs(inside.reduce((sum, i) => sum + right[i] - top[i], 0)) / n;
      }
      expect(figures.ece.value).toBeCloseTo(ece, 6);
      const brier = positions.map((position) => position[side].reduce((sum, x, j) => sum + (x - (j === position.target ? 1 : 0)) ** 2, 0));
      expect(figures.brier).toEqual({ value: expect.closeTo(mean(brier), 5), standardError: expect.closeTo(error(brier), 5) });
    }
  });

  it('measures a model alone', async () => {
    const backend = createReferenceBackend();
    const { divergence, base: none, ...alone } = await evaluateText({ backend, model: tableModel(backend, quantized), windows });
    expect([divergence, none]).toEqual([undefined, undefined]);
    const { perplexity, calibration, protocol } = await measured();
    expect(alone).toEqual({ perplexity, calibration, protocol });
  });
});
