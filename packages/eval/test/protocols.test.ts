import { createReferenceBackend } from '@calibrant/core';
import { cutWindows, parseProtocol, perplexity } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { tableModel } from './table-model.js';

const counting = (length: number) => Array.from({ length }, (_, i) => i);
/** Which tokens of the text each window scores, for ids that are their own positions. */
const scored = (count: number, protocol: string) => {
  const { windows, scoredFrom } = cutWindows(counting(count), { protocol });
  return windows.map((ids, i) => [...ids.subarray(scoredFrom![i])]);
};

describe('protocols', () => {
  it('strided windows score each token but the first once, with at least length − stride tokens of context', () => {
    expect(scored(10, 'strided-6-2')).toEqual([
      [1, 2, 3, 4, 5],
      [6, 7],
      [8, 9],
    ]);
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 2, max: 40 }),
        fc.integer({ min: 1, max: 39 }),
        (count, length, step) => {
          const stride = Math.min(step, length - 1);
          const { windows, scoredFrom } = cutWindows(counting(count), { protocol: `strided-${length}-${stride}` });
          const all = windows.flatMap((ids, i) => [...ids.subarray(scoredFrom![i])]);
          expect(all).toEqual(counting(count).slice(1));
          for (const [i, ids] of windows.entries()) {
            expect(ids.length).toBeLessThanOrEqual(length);
            if (i > 0) expect(scoredFrom![i]).toBeGreaterThanOrEqual(length - stride);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("llama-perplexity's windows score their second half, begin with the begin token, and leave the rest of the text out", () => {
    const { windows, scoredFrom } = cutWindows(counting(20), { protocol: 'llama-perplexity-8', bosTokenId: 99 });
    expect(windows.map((ids) => [...ids])).toEqual([
      [99, 1, 2, 3, 4, 5, 6, 7],
      [99, 9, 10, 11, 12, 13, 14, 15],
    ]);
    expect(windows.map((ids, i) => ids.length - scoredFrom![i])).toEqual([3, 3]);
    expect([...cutWindows(counting(8), { protocol: 'llama-perplexity-8' }).windows[0]]).toEqual(counting(8));
  });

  it('measures the scored tokens alone', async () => {
    const backend = createReferenceBackend();
    const table = [
      [0.5, 0.25, 0.25],
      [0.1, 0.8, 0.1],
      [0.2, 0.2, 0.6],
    ].map((row) => row.map(Math.log));
    const model = tableModel(backend, table);
    const ids = [0, 1, 1, 2, 2, 0, 1, 0];
    const strided = await perplexity({ backend, model, windows: cutWindows(ids, { protocol: 'strided-3-1' }) });
    const whole = await perplexity({ backend, model, windows: cutWindows(ids, { length: 8 }) });
    // A model that looks one token back does not care for more context.
    expect(strided.meanNll).toBeCloseTo(whole.meanNll, 6);
    expect(strided).toMatchObject({ protocol: 'strided-3-1', scoredTokens: 7, tokens: 18, windows: 6 });
    const half = await perplexity({ backend, model, windows: cutWindows(ids, { protocol: 'llama-perplexity-8' }) });
    expect(half.meanNll).toBeCloseTo(-Math.log(0.2 * 0.25 * 0.1) / 3, 6);
    expect(half).toMatchObject({ scoredTokens: 3, protocol: 'llama-perplexity-8' });
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('refuses other names and numbers', () => {
    expect(parseProtocol('strided-2048-512')).toEqual({ kind: 'strided', length: 2048, stride: 512, name: 'strided-2048-512' });
    for (const name of ['windowed', 'windowed-512-2', 'strided-512', 'rolling-512', 'windowed-0', 'windowed-1', 'llama-perplexity-7'])
      expect(() => parseProtocol(name)).toThrow(/protocol|tokens|even/);
    expect(() => parseProtocol('strided-512-512')).toThrow(/stride must be from 1 to 511, found 512/);
    expect(() => cutWindows(counting(100), { protocol: 'llama-perplexity-128' })).toThrow(
      /100 tokens; llama-perplexity-128 needs at least 128/,
    );
  });
});
