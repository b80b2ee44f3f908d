import { CalibrantError, createReferenceBackend, type RunEvent } from '@calibrant/core';
import { cutWindows, perplexity } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';
import { tableModel } from './table-model.js';

/** Logits whose softmax is the row of probabilities. */
const logs = (...probabilities: number[]) => probabilities.map((p) => Math.log(p));
const table = [logs(0.5, 0.25, 0.25), logs(0.1, 0.8, 0.1), logs(0.2, 0.2, 0.6)];

describe('perplexity', () => {
  it('is e to the mean negative log likelihood over windows that do not overlap, first tokens not scored', async () => {
    const backend = createReferenceBackend();
    // Windows [0 1 1] [2 2 0] [1 0]: scored 0→1, 1→1, 2→2, 2→0, 1→0.
    const windows = cutWindows([0, 1, 1, 2, 2, 0, 1, 0], { length: 3, bytes: 16 });
    const result = await perplexity({ backend, model: tableModel(backend, table), windows });
    const nll = [0.25, 0.8, 0.6, 0.2, 0.1].map((p) => -Math.log(p));
    const mean = nll.reduce((a, b) => a + b) / 5;
    const variance = nll.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4;
    expect(result).toEqual({
      perplexity: expect.closeTo(Math.exp(mean), 5),
      meanNll: expect.closeTo(mean, 6),
      standardError: expect.closeTo(Math.exp(mean) * Math.sqrt(variance / 5), 5),
      tokens: 8,
      scoredTokens: 5,
      windows: 3,
      bitsPerByte: expect.closeTo((mean * 8) / 16 / Math.LN2, 6),
      protocol: 'windowed-3',
      parts: [
        { window: 0, windows: 1, perplexity: expect.closeTo(Math.sqrt(5), 5) },
        { window: 1, windows: 1, perplexity: expect.closeTo(Math.sqrt(1 / 0.12), 5) },
        { window: 2, windows: 1, perplexity: expect.closeTo(10, 5) },
      ],
    });
  });

  it('leaves out a last window of one token and windows beyond maxWindows', () => {
    expect(cutWindows([1, 2, 3, 4, 5], { length: 2 }).windows.map((window) => [...window])).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(cutWindows(new Array(2000).fill(0)).windows.map(({ length }) => length)).toEqual([512, 512, 512, 464]);
    expect(cutWindows(new Array(2000).fill(0), { maxWindows: 2 }).windows).toHaveLength(2);
  });

  it('does not depend on the size of the batches, and frees every buffer', async () => {
    const backend = createReferenceBackend();
    const windows = cutWindows([0, 1, 1, 2, 2, 0, 1, 0, 2], { length: 2 });
    const model = tableModel(backend, table);
    const results = [];
    for (const batchWindows of [1, 3, undefined])
      results.push(await perplexity({ backend, model, windows, ...(batchWindows ? { batchWindows } : {}) }));
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(model.batches).toEqual([1, 1, 1, 1, 3, 1, 4]);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('reports its progress in tokens with the total from the start', async () => {
    const backend = createReferenceBackend();
    const events: RunEvent[] = [];
    const windows = cutWindows([0, 1, 1, 2, 2, 0, 1, 0], { length: 3 });
    await perplexity({ backend, model: tableModel(backend, table), windows, onEvent: (event) => events.push(event) });
    const seen = events.map((event) => ('done' in event ? [event.done, event.total, event.unit] : event));
    expect(seen).toEqual([0, 3, 6, 8].map((done) => [done, 8, 'tokens']));
  });

  it('stops between windows when it is aborted, leaving no buffers', async () => {
    const backend = createReferenceBackend();
    const stop = new AbortController();
    const windows = cutWindows(new Array(100).fill(0), { length: 2 });
    const model = tableModel(backend, table);
    const onEvent = (event: RunEvent) => {
      if ('done' in event && event.done >= 10) stop.abort();
    };
    await expect(perplexity({ backend, model, windows, onEvent, signal: stop.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('names window and token when logits are NaN, and frees what it held', async () => {
    const backend = createReferenceBackend();
    const model = tableModel(backend, [...table.slice(0, 2), [NaN, 0, 0]]);
    const failure = await perplexity({ backend, model, windows: cutWindows([0, 1, 1, 0, 2, 0], { length: 3 }) }).catch((error) => error);
    expect(CalibrantError.isInstance(failure) && failure.code).toBe('NON_FINITE');
    expect(failure.message).toMatch(/predict scored token 2 of window 1 hold NaN/);
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('refuses tokens of another vocabulary and texts without anything to predict', async () => {
    const backend = createReferenceBackend();
    const model = tableModel(backend, table);
    await expect(perplexity({ backend, model, windows: cutWindows([0, 1, 2, 7], { length: 2 }) })).rejects.toThrow(
      /Token 1 of window 1 is 7, but the model knows ids 0 to 2/,
    );
    expect(() => cutWindows([5])).toThrow(/1 token; windowed-512 needs at least 2/);
    expect(() => cutWindows([1, 2], { length: 1 })).toThrow(/at least 2 tokens, found the length 1/);
    expect(() => cutWindows([1, 2], { maxWindows: 0 })).toThrow(/maxWindows 0/);
  });
});
