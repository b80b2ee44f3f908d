import {
  comparePairs,
  drift,
  generationResult,
  isAnswer,
  type Match,
  mcNemar,
  proportion,
  readGenerationRow,
  wilson,
} from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';

describe('intervals and tests', () => {
  it("Wilson's interval has its published values", () => {
    // Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    const cases: [number, number, number, number][] = [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ];
    for (const [right, count, low, high] of cases) {
      expect(wilson(right, count).low).toBeCloseTo(low, 4);
      expect(wilson(right, count).high).toBeCloseTo(high, 4);
    }
    expect(wilson(5, 5).high).toBe(1);
    expect(proportion([1, 1, 0, 0])).toMatchObject({ value: 0.5, count: 4, ...wilson(2, 4) });
  });

  it("McNemar's exact test is the binomial tail", () => {
    expect(mcNemar(0, 0)).toBe(1);
    expect(mcNemar(0, 6)).toBeCloseTo(2 / 64, 12);
    expect(mcNemar(2, 8)).toBeCloseTo((2 * (1 + 10 + 45)) / 1024, 12);
    expect(mcNemar(5, 5)).toBe(1);
    // The normal approximation holds for many.
    expect(mcNemar(1900, 2100)).toBeCloseTo(0.00166, 4);
  });

  it('pairs count what broke, what was mended, and what changed', () => {
    const compared = comparePairs({ right: [1, 1, 0, 0], answers: [0, 1, 2, 3] }, { right: [1, 0, 1, 0], answers: [0, 2, 1, 1] });
    expect(compared).toMatchObject({ broken: 1, mended: 1, changed: { value: 0.75, count: 4 }, pValue: 1, difference: { value: 0 } });
    expect(compared.difference.standardError).toBeCloseTo(Math.sqrt(2 / 3 / 4), 12);
  });
});

describe('answers that a model writes', () => {
  const check = (match: Match, answers: string[], text: string) => isAnswer(text, { prompt: 'p', match, answers });
  it.each<[Match, string[], string, boolean]>([
    ['exact', ['the Eiffel Tower'], '  Eiffel tower.\nIt stands in Paris.', true],
    ['exact', ['Paris'], 'It is Paris', false],
    ['exact', ['Paris', 'It is Paris'], '\n\nit is PARIS!', true],
    ['contains', ['Paris'], 'I think it is Paris, yes', true],
    ['contains', ['art'], 'a party', false],
    ['regex', ['^yes\\b'], 'no\nyes, it is', true],
    ['regex', ['^yes$'], 'yes, it is', false],
    ['number', ['1234.5'], 'First 7, so the answer is 1,234.50.', true],
    ['number', ['-3'], 'it is −3', true],
    ['number', ['3'], 'none', false],
    ['number', ['3'], '3 or 4', false],
  ])('%s %j in %j: %s', (match, answers, text, expected) => {
    expect(check(match, answers, text)).toBe(expected);
  });

  it('rows are read, and refused with their place', () => {
    expect(readGenerationRow({ prompt: '2+2=', answer: 4, match: 'number' }, 'x:1')).toEqual({
      prompt: '2+2=',
      answers: ['4'],
      match: 'number',
    });
    expect(readGenerationRow({ prompt: 'a', answers: ['b', 'c'] }, 'x:1')).toEqual({ prompt: 'a', answers: ['b', 'c'], match: 'exact' });
    const refused = (row: Record<string, unknown>) => () => readGenerationRow(row, 'x:9');
    expect(refused({ answers: ['b'] })).toThrow(/x:9: "prompt" must be a text, found nothing/);
    expect(refused({ prompt: 'a', answers: [] })).toThrow(/"answers" must be a list/);
    expect(refused({ prompt: 'a', answers: ['b'], match: 'fuzzy' })).toThrow(/one of exact, contains, regex, number, found "fuzzy"/);
    expect(refused({ prompt: 'a', answers: ['('], match: 'regex' })).toThrow(/"\(" is not a regular expression/);
    expect(refused({ prompt: 'a', answers: ['b'], match: 'number' })).toThrow(/holds no number/);
  });

  it('give accuracies, samples and a comparison', () => {
    const items = ['a', 'b', 'c'].map((answer) => readGenerationRow({ prompt: `${answer}?`, answer }, 'x'));
    const source = { name: 'mine', source: 'x', sha256: '', available: 3 };
    const result = generationResult(source, 8, items, ['a', 'x', 'c'], ['a', 'b', 'x']);
    expect(result.model.accuracy.value).toBeCloseTo(2 / 3, 12);
    expect(result.comparison).toMatchObject({ broken: 1, mended: 1, changed: { value: 2 / 3 } });
    expect(result.samples[1]).toEqual({ prompt: 'b?', answers: ['b'], model: 'x', base: 'b', right: false });
  });
});

describe('drift', () => {
  it('counts the tokens before the first difference', () => {
    const base = [
      [1, 2, 3, 4],
      [1, 2, 3, 4],
      [1, 2],
      [9, 9, 9, 9],
    ];
    const model = [
      [1, 2, 3, 4],
      [1, 2, 9, 4],
      [1, 2, 3, 4],
      [1, 9, 9, 9],
    ];
    const result = drift(base, model, 4);
    expect(result.firstDifference).toEqual([null, 2, 2, 0]);
    expect(result.identical.map(({ tokens, value }) => [tokens, value])).toEqual([
      [1, 0.75],
      [2, 0.75],
      [4, 0.25],
    ]);
    expect(result.medianTokens).toBe(2);
    expect(result.histogram).toEqual({ edges: [0, 1, 2, 4, 5], counts: [1, 0, 2, 1] });
    expect(() => drift([], [], 4)).toThrow(/at least one/);
  });
});
