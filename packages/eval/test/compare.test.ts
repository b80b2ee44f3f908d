import { createReferenceBackend, defineMetric } from '@calibrant/core';
import { compare, cutWindows, klDivergenceMetric, measure, perplexity, perplexityMetric, sameTopMetric } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { tableModel } from './table-model.js';

const p = [
  [0.5, 0.25, 0.25],
  [0.1, 0.8, 0.1],
  [0.2, 0.2, 0.6],
];
const q = [
  [0.4, 0.3, 0.3],
  [0.1, 0.8, 0.1],
  [0.5, 0.1, 0.4],
];
const logs = (rows: number[][]) => rows.map((row) => row.map((x) => Math.log(x)));
const kl = p.map((row, i) => row.reduce((sum, x, j) => sum + x * Math.log(x / q[i][j]), 0));

describe('compare', () => {
  it('gives mean, error, quantiles and agreement over the scored positions, and both perplexities', async () => {
    const backend = createReferenceBackend();
    const windows = cutWindows([0, 1, 1, 2, 2, 0, 1, 0], { length: 3 });
    const [base, quantized] = [tableModel(backend, logs(p)), tableModel(backend, logs(q))];
    const result = await compare({ backend, base, quantized, windows });
    // Scored positions follow the tokens 0 1 | 2 2 | 1.
    const values = [kl[0], kl[1], kl[2], kl[2], kl[1]];
    const mean = values.reduce((a, b) => a + b) / 5;
    const error = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4 / 5);
    expect(result.meanKl).toBeCloseTo(mean, 7);
    expect(result.meanKlStandardError).toBeCloseTo(error, 7);
    expect(result.medianKl).toBeCloseTo(kl[0], 7);
    expect(result.maxKl).toBeCloseTo(kl[2], 7);
    expect(result.kl99).toBeCloseTo(kl[2], 7);
    expect(result.sameTop).toBeCloseTo(3 / 5, 7);
    expect(result.sameTopStandardError).toBeCloseTo(Math.sqrt((0.6 * 0.4) / 4), 7);
    const { protocol, ...alone } = await perplexity({ backend, model: quantized, windows });
    expect(result.quantized).toEqual(alone);
    expect(result.base.perplexity).toBeCloseTo(Math.exp(-Math.log(0.25 * 0.8 * 0.6 * 0.2 * 0.1) / 5), 5);
    expect([result.protocol, protocol]).toEqual(['windowed-3', 'windowed-3']);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('is zero with agreement everywhere for a model and itself', async () => {
    const backend = createReferenceBackend();
    const model = tableModel(backend, logs(p));
    const result = await compare({ backend, base: model, quantized: model, windows: cutWindows([0, 1, 2, 1, 0], { length: 5 }) });
    expect(result).toMatchObject({ meanKl: 0, maxKl: 0, sameTop: 1, meanKlStandardError: 0, protocol: 'windowed-5' });
  });

  it('holds the logits of one window per model at a time, however long the text is', async () => {
    const backend = createReferenceBackend();
    const model = tableModel(backend, logs(p));
    let peak = 0;
    const watched = {
      ...model,
      head: async (hidden: Parameters<typeof model.head>[0]) => {
        const logits = await model.head(hidden);
        peak = Math.max(peak, backend.allocatedBytes());
        return logits;
      },
    };
    await compare({
      backend,
      base: watched,
      quantized: watched,
      windows: cutWindows(new Array(4000).fill(1), { length: 100 }),
      batchWindows: 4,
    });
    // Two windows of logits, the hidden states of 4 windows of both models, and the rows of one that predict.
    expect(peak).toBe(2 * 99 * 3 * 4 + 2 * 4 * 100 * 4 + 99 * 4);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('refuses models of different vocabularies', async () => {
    const backend = createReferenceBackend();
    const quantized = tableModel(backend, [[0, 0]]);
    await expect(
      compare({ backend, base: tableModel(backend, logs(p)), quantized, windows: cutWindows([0, 0], { length: 2 }) }),
    ).rejects.toThrow(/one has 3 and the other 2 tokens/);
  });
});

describe('measure', () => {
  it("runs metric plug-ins, a stranger's too, in one pass", async () => {
    const backend = createReferenceBackend();
    const windows = cutWindows([0, 1, 1, 2, 2, 0, 1, 0], { length: 3 });
    const models = { model: tableModel(backend, logs(q)), reference: tableModel(backend, logs(p)) };
    const counter = defineMetric({
      name: 'tokens',
      meta: { description: 'counts', package: 'here' },
      options: z.strictObject({ factor: z.number().default(1) }),
      needsReference: false,
      start(_, { factor }) {
        let count = 0;
        return {
          async add({ ids }) {
            count += ids.length;
          },
          finish: () => ({ count: count * factor }),
        };
      },
    });
    const metrics = [
      { metric: perplexityMetric() },
      { metric: klDivergenceMetric() },
      { metric: sameTopMetric() },
      { metric: counter, options: { factor: 2 } },
    ];
    const result = await measure({ backend, ...models, windows, metrics });
    const expected = await compare({ backend, base: models.reference, quantized: models.model, windows });
    const { parts, ...numbers } = expected.quantized;
    expect(parts).toHaveLength(3);
    expect(result.perplexity).toEqual(numbers);
    expect(result['kl-divergence'].meanKl).toBe(expected.meanKl);
    expect(result['same-top']).toEqual({ sameTop: expected.sameTop, standardError: expected.sameTopStandardError });
    expect(result.tokens).toEqual({ count: 16 });
  });

  it('says which metric lacks the full-precision model', async () => {
    const backend = createReferenceBackend();
    const run = { backend, model: tableModel(backend, logs(p)), windows: cutWindows([0, 1]) };
    await expect(measure({ ...run, metrics: [{ metric: perplexityMetric() }, { metric: sameTopMetric() }] })).rejects.toThrow(
      /"same-top" needs the full-precision model/,
    );
    await expect(measure({ ...run, metrics: [{ metric: perplexityMetric(), options: { bytesPerTokens: 2 } }] })).rejects.toThrow(
      /perplexity\.bytesPerTokens.*bytesPerToken/,
    );
  });
});
