import { createRng, tensor } from '@calibrant/core';
import { decodeLogProbabilities, encodeLogProbabilities, tokenScores, topOverlap } from '@calibrant/eval';
import { runWasm } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const whole = { start: 0, end: 0 };
function random(rows: number, columns: number, seed: number, spread = 4) {
  const rng = createRng(seed);
  return tensor(
    'f32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, () => spread * rng.normal()),
  );
}

describe.each([1, 2, 3, 4, 5, 7, 8, 9, 31, 515])('over %i columns', (columns) => {
  it('the scores of tokens are those of the reference', async () => {
    const logits = random(9, columns, columns);
    const targets = tensor(
      'i32',
      [9],
      Int32Array.from({ length: 9 }, (_, r) => (r === 4 ? -1 : (r * 37) % columns)),
    );
    const expected = tokenScores.reference({ logits, targets }, {}, whole);
    const found = runWasm(tokenScores, { logits, targets }, {});
    expect([...found.top.data]).toEqual([...expected.top.data]);
    for (const name of ['nll', 'confidence', 'squares'] as const)
      for (let r = 0; r < 9; r++)
        expect(Math.abs(Number(found[name].data[r]) - Number(expected[name].data[r]))).toBeLessThan(
          1e-6 * (1 + Math.abs(Number(expected[name].data[r]))),
        );
  });

  it('the overlap of the most likely tokens is that of sorted rows, ties and infinities too', async () => {
    const base = random(9, columns, columns + 1);
    const quantized = random(9, columns, columns + 2);
    for (let i = 0; i < base.data.length; i += 3) quantized.data[i] = base.data[i] = Math.round(Number(base.data[i]));
    base.data[0] = -Infinity;
    for (const count of [1, 3, 10, 64].filter((k) => k <= columns)) {
      const expected = topOverlap.reference({ base, quantized }, { count }, whole);
      expect([...runWasm(topOverlap, { base, quantized }, { count }).common.data]).toEqual([...expected.common.data]);
      expect(runWasm(topOverlap, { base: quantized, quantized }, { count }).common.data[0]).toBe(count);
    }
  });

  it('codes of logits are those of the reference bit for bit, and decode within half a step', async () => {
    const logits = random(6, columns, columns + 3, 6);
    logits.data[columns - 1] = columns > 1 ? -Infinity : 0;
    const expected = encodeLogProbabilities.reference({ logits }, {}, whole);
    const { codes, scales } = runWasm(encodeLogProbabilities, { logits }, {});
    expect([...scales.data]).toEqual([...expected.scales.data]);
    expect([...codes.data]).toEqual([...expected.codes.data]);
    const decoded = runWasm(decodeLogProbabilities, { codes, scales }, {}).logits;
    expect([...decoded.data]).toEqual([...decodeLogProbabilities.reference({ codes, scales }, {}, whole).logits.data]);
    for (let r = 0; r < 6; r++) {
      const row = (logits.data as Float32Array).subarray(r * columns, (r + 1) * columns);
      const top = Math.max(...row);
      for (let c = 0; c < columns; c++)
        expect(Math.abs(Number(decoded.data[r * columns + c]) - Math.max(-32, row[c] - top))).toBeLessThan(
          0.51 * Number(scales.data[r]) + 4e-6,
        );
    }
  });
});

describe('scores of tokens', () => {
  it('know certain, uniform and impossible predictions', async () => {
    const logits = tensor('f32', [3, 4], Float32Array.of(0, 200, 0, 0, 1, 1, 1, 1, 0, 0, -Infinity, -Infinity));
    const { nll, top, confidence, squares } = runWasm(tokenScores, { logits, targets: tensor('i32', [3], Int32Array.of(1, 2, 3)) }, {});
    expect([...nll.data].map(Number)).toEqual([0, expect.closeTo(Math.log(4), 6), Infinity]);
    expect([...top.data]).toEqual([1, 0, 0]);
    expect([...confidence.data]).toEqual([1, 0.25, 0.5]);
    expect([...squares.data]).toEqual([1, 0.25, 0.5]);
  });

  it('say NaN for rows that hold NaN and targets beyond the vocabulary', () => {
    const logits = tensor('f32', [2, 4], Float32Array.of(0, NaN, 0, 0, 1, 1, 1, 1));
    const { nll, top } = runWasm(tokenScores, { logits, targets: tensor('i32', [2], Int32Array.of(1, 4)) }, {});
    expect([...nll.data]).toEqual([NaN, NaN]);
    expect(top.data[0]).toBe(-1);
  });

  it('refuse more top tokens than there are', () => {
    const spec = { dtype: 'f32' as const, shape: [2, 4] };
    expect(() => topOverlap.infer({ base: spec, quantized: spec }, { count: 5 })).toThrow(/from 1 to 4, found 5/);
  });
});
