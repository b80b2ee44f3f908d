import { needleItems, needleResult, type ScoredItem } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';

/** Words, with the space before them, and marks are tokens. */
const ids = new Map<string, number>();
const tokenizer = {
  encode: (text: string) =>
    Int32Array.from(text.match(/\s*\w+|\s*[^\w\s]+|\s+/g) ?? [], (piece) => {
      if (!ids.has(piece)) ids.set(piece, ids.size);
      return ids.get(piece)!;
    }),
};

describe('a fact in long texts', () => {
  const items = needleItems({ tokenizer, lengths: [128, 512], depths: [0, 0.5, 1], trials: 4, seed: 3 });

  it('is hidden once at its depth, in prompts of almost the wanted length', () => {
    expect(items).toHaveLength(2 * 3 * 4);
    for (const { options, answer, length, depth } of items) {
      const [{ context }] = options;
      const tokens = tokenizer.encode(context).length;
      expect(tokens).toBeLessThanOrEqual(length - 1);
      expect(tokens).toBeGreaterThan(length - 60);
      const [, fact] = /(The secret word of [\w ]+ is \w+\.)/.exec(context)!;
      expect(fact).toContain(`${options[answer].continuation}.`);
      expect(context.split('The secret word of').length).toBe(3);
      const filler = context.slice(0, context.indexOf('\n\nQuestion'));
      const place = filler.indexOf(fact) / (filler.length - fact.length);
      expect(Math.abs(place - depth)).toBeLessThan(length === 128 ? 0.35 : 0.12);
      expect(new Set(options.map(({ continuation }) => continuation)).size).toBe(16);
      for (const { continuation } of options) expect(tokenizer.encode(context + continuation).length).toBe(tokens + 1);
    }
  });

  it('is another one in each trial, and the same for the same seed', () => {
    expect(new Set(items.map(({ options }) => options[0].context)).size).toBe(items.length);
    const again = needleItems({ tokenizer, lengths: [128, 512], depths: [0, 0.5, 1], trials: 4, seed: 3 });
    expect(again).toEqual(items);
    const mine = needleItems({ tokenizer, lengths: [128], depths: [1], trials: 1, filler: 'My own text. It is short.' });
    expect(mine[0].options[0].context).toMatch(/^(My own text\. It is short\. |It is short\. My own text\. ).*secret word/);
  });

  it('gives a grid of how often the model finds it', () => {
    const scored: ScoredItem[] = items.map(({ options, answer, depth }) => ({
      answer,
      options: options.map((_, i) => ({
        logLikelihood: i === (depth === 0.5 ? 0 : answer) ? -1 : -3,
        greedy: depth === 1 && i === answer,
        tokens: 1,
        characters: 4,
        bytes: 4,
      })),
    }));
    const result = needleResult(items, scored, scored);
    expect(result.model.cells.map(({ length, depth }) => [length, depth])).toEqual(
      [128, 512].flatMap((length) => [0, 0.5, 1].map((depth) => [length, depth])),
    );
    const lucky = items.filter(({ answer, depth, length }) => depth === 0.5 && length === 128 && answer === 0).length / 4;
    expect(result.model.cells.slice(0, 3).map(({ ranked, generated }) => [ranked.value, generated.value])).toEqual([
      [1, 0],
      [lucky, 0],
      [1, 1],
    ]);
    expect(result.model.cells[0].margin).toEqual({ value: 2, standardError: 0 });
    expect(result).toMatchObject({ trials: 4, chance: 1 / 16, comparison: { broken: 0, mended: 0, pValue: 1 } });
  });

  it('refuses lengths without room and depths that are none', () => {
    expect(() => needleItems({ tokenizer, lengths: [20] })).toThrow(/20 tokens have no room.*Check at \d+ tokens or more/);
    expect(() => needleItems({ tokenizer, lengths: [200], depths: [2] })).toThrow(/from 0 to 1, found 2/);
    expect(() => needleItems({ tokenizer, lengths: [] })).toThrow(/at least one length/);
    expect(() => needleItems({ tokenizer, lengths: [200], filler: ' ' })).toThrow(/filler text is empty/);
  });
});
